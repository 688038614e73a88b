"""What tutorials and Databricks notebooks do with their session, done in a lab's notebook."""

from __future__ import annotations

import os

import nbformat
import pytest
from conftest import SHARED
from nbclient import NotebookClient

from grader.rehearsal.own_server import furnish, stop_server
from labs_lib.engine import first_rows

pytestmark = pytest.mark.ledger

SETUP = """
import contextlib
from labs_lib import check, open_lab
lab = open_lab("01_optimization")
spark = lab.spark
from pyspark.sql import SparkSession
spark.range(5).write.format("delta").saveAsTable("five")
spark.range(3).createOrReplaceTempView("three")
"""
BUILDERS = """
from pyspark import SparkConf
from labs_lib.engine import session
address = session.connection().server.remote
builder = SparkSession.builder
same = {
    "plain": builder.getOrCreate(),
    "named": SparkSession.builder.appName("x").master("local[*]").config("spark.sql.shuffle.partitions", 7).getOrCreate(),
    "conf": SparkSession.builder.config(conf=SparkConf().setAppName("x").set("spark.sql.ansi.enabled", "false")).getOrCreate(),
    "remote": SparkSession.builder.remote(address).getOrCreate(),
    "remote create": SparkSession.builder.remote(address.split("/;")[0]).create(),
    "create": SparkSession.builder.create(),
    "active": SparkSession.getActiveSession(),
}
print([name for name, found in same.items() if found is not lab.spark])
print(spark.conf.get("spark.sql.shuffle.partitions"), spark.conf.get("spark.sql.ansi.enabled"))
"""
STATIC = """
spark = SparkSession.builder.master("yarn").enableHiveSupport().config("spark.executor.memory", "2g").getOrCreate()
print(spark.table("five").count())
"""
STOP = """
spark.stop()
print(SparkSession.builder.getOrCreate().table("three").count())
"""
CLOSED = "type(spark).stop(spark)"
AFTER = """
print(spark is lab.spark is SparkSession.getActiveSession(), spark.table("five").count())
"""
IN_ONE_CELL = """
type(spark).stop(spark)
lab = open_lab("01_optimization")
print(lab.spark.table("five").count(), check("1a.3").status)
"""
HISTORY = """
from delta.tables import DeltaTable
DeltaTable.forName(spark, "five").history()
"""
CACHED = """
from labs_lib.measuring import outline
five = lab.spark.table("five").cache()
print(five.join(five, "id").count())
text = outline(five.join(five, "id"), show=False)
print("InMemoryRelation" in text, text.count("FileScan five"))
_ = five.unpersist()
"""
IN_A_BATCH = """
from labs_lib.patterns.streams import run_stream
def count(batch, batch_id):
    from pyspark.sql import SparkSession
    session = SparkSession.builder.appName("x").config("spark.sql.shuffle.partitions", 3).getOrCreate()
    same = session is batch.sparkSession is SparkSession.getActiveSession() is SparkSession.builder.master("local[*]").create()
    batch.createOrReplaceTempView("arrived")
    session.sql(f"SELECT count(*) AS rows, {same} AS same FROM arrived").write.saveAsTable("counted")
run_stream(lab, "counted", lab.spark.readStream.table("five").writeStream.foreachBatch(count))
print(lab.spark.table("counted").collect())
"""
GONE = """
import shutil
shutil.rmtree(lab.tables / "five")
lab = open_lab("01_optimization")
lab.spark.sql("CREATE TABLE five AS SELECT 1 AS id")
print(lab.spark.table("five").count())
"""
CELLS = {
    "setup": SETUP,
    "builders": BUILDERS,
    "static": STATIC,
    "stop": STOP,
    "closed": CLOSED,
    "after": AFTER,
    "one cell": IN_ONE_CELL,
    "history": HISTORY,
    "cached": CACHED,
    "in a batch": IN_A_BATCH,
    "gone": GONE,
    "answer that raises": "hot = lab.spark.table('five')\nhot_keys = hot.nowhere()",
    "its check": "print(check('1a.2').sentence)",
    "shown": "lab.spark.range(30).selectExpr('id AS shown')",
    "displayed": "display(lab.spark.range(2).selectExpr('id AS displayed'))",
    "to be cached": "lab.spark.range(2).cache()",
    "raises": "lab.spark.sql(\"SELECT raise_error('no luck') AS a\")",
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[nbformat.NotebookNode]]:
    # A path that holds what SQL and addresses treat as their own, and a server started where only ASCII is known.
    place = tmp_path_factory.mktemp("habits") / "O'Brien & Zoë #1 100%41"
    home = tmp_path_factory.mktemp("home")
    furnish(home, SHARED)
    environment = {
        **os.environ,
        "LABS_HOME": str(home),
        "LABS_WORKSPACE": str(place / "work"),
        "LC_ALL": "C",
    }
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS.values()])
    try:
        NotebookClient(notebook, timeout=120, allow_errors=True).execute(env=environment)
    finally:
        stop_server(home)
    return {name: cell.outputs for name, cell in zip(CELLS, notebook.cells, strict=True)}


def said(outputs: list[nbformat.NotebookNode]) -> str:
    return "".join(output.get("text", "") or f"{output.get('evalue', '')}\n" for output in outputs)


def shown(outputs: list[nbformat.NotebookNode]) -> str:
    return "".join(str(output.data.get("text/html", "")) for output in outputs if "data" in output)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("setup", ""),
        ("builders", "[]\n7 false\n"),
        ("closed", ""),
        ("one cell", "5 unanswered\n"),
        ("cached", "5\nTrue 2\n"),
        ("in a batch", "[Row(rows=5, same=True)]\n"),
        ("gone", "1\n"),
    ],
)
def test_a_habit_prints_what_it_would_elsewhere(
    cell: str, expected: str, outputs: dict[str, list[nbformat.NotebookNode]]
) -> None:
    assert said(outputs[cell]).endswith(expected) and (expected or not outputs[cell])


def test_settings_of_the_start_are_left_out_by_name(outputs: dict[str, list[nbformat.NotebookNode]]) -> None:
    told = said(outputs["static"])
    assert "without spark.sql.catalogImplementation, spark.executor.memory:" in told
    assert told.endswith("5\n")


def test_stop_keeps_the_session_and_its_views(outputs: dict[str, list[nbformat.NotebookNode]]) -> None:
    told = said(outputs["stop"])
    assert told.startswith("The lab's Spark session stays") and "\n3\n" in told


def test_a_session_that_was_closed_is_replaced(outputs: dict[str, list[nbformat.NotebookNode]]) -> None:
    told = said(outputs["after"])
    assert told.startswith("The lab's Spark session had been closed. A new one is running now.")
    assert told.endswith("True 5\n")


def test_the_card_says_what_the_answer_cell_raised(
    outputs: dict[str, list[nbformat.NotebookNode]],
) -> None:
    told = said(outputs["its check"])
    assert told.startswith("No answer yet:")
    assert told.endswith(
        "The answer cell ended with an error, line 2: TypeError: 'Column' object is not callable\n"
    )


def test_deltatable_names_the_statements(outputs: dict[str, list[nbformat.NotebookNode]]) -> None:
    assert "DeltaTable.forName can't be used in the lab" in said(outputs["history"])
    assert "DESCRIBE HISTORY name for history()" in said(outputs["history"])


def test_a_dataframe_shows_its_first_rows(outputs: dict[str, list[nbformat.NotebookNode]]) -> None:
    table = shown(outputs["shown"])
    assert table.startswith(first_rows.MARK) and "<th>shown</th>" in table and table.count("<tr>") == 21
    assert "only showing top 20 rows" in table
    assert outputs["shown"][0].data["text/plain"] == "DataFrame[shown: bigint]"
    assert "<th>displayed</th>" in shown(outputs["displayed"])
    assert shown(outputs["to be cached"]) == ""
    assert "can&#x27;t show its rows: " in shown(outputs["raises"]) and "no luck" in shown(outputs["raises"])
