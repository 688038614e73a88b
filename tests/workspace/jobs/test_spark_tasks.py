"""Tasks on the course's own Spark server: a notebook, a pipeline, and a file that needs none and is told none."""

from __future__ import annotations

import uuid

import pytest
from databricks.sdk.service.jobs import NotebookTask, PipelineTask, SqlTask, SqlTaskFile, Task, TaskDependency
from databricks.sdk.service.pipelines import FileLibrary, PipelineLibrary
from databricks.sdk.service.workspace import ImportFormat

from tests.workspace.conftest import Served
from tests.workspace.jobs.conftest import finished, python, results, task

pytestmark = pytest.mark.ledger

PIPELINE = """
from pyspark import pipelines as dp
from pyspark.sql import SparkSession

@dp.materialized_view
def {table}():
    return SparkSession.active().range(5)
"""


def test_a_notebook_a_pipeline_and_a_plain_file(workspace: Served) -> None:
    w = workspace.client()
    table = f"numbers_{uuid.uuid4().hex[:8]}"
    w.workspace.upload("/Shared/source.py", PIPELINE.format(table=table).encode(), format=ImportFormat.AUTO)
    made = w.pipelines.create(
        name="numbers",
        libraries=[PipelineLibrary(file=FileLibrary(path="/Shared/source.py"))],
        schema="default",
    )
    source = f"dbutils.notebook.exit(spark.table('{table}').count())\n\n# COMMAND ----------\n\n# MAGIC %sql\n# MAGIC SELECT 1"
    shown = f"# MAGIC %sql\n# MAGIC SELECT count(*) AS found FROM {table}\n\n# COMMAND ----------\n\n{source}"
    w.workspace.upload("/Shared/count.py", shown.encode())
    tasks = [
        Task("pipeline", pipeline_task=PipelineTask(pipeline_id=made.pipeline_id)),
        Task(
            "notebook",
            depends_on=[TaskDependency("pipeline")],
            notebook_task=NotebookTask("/Shared/count.py"),
        ),
        python(w, "plain", "import os\nprint('REMOTE' in ' '.join(os.environ))", after=["notebook"]),
        Task("drop", depends_on=[TaskDependency("plain")], notebook_task=NotebookTask("/Shared/drop.py")),
    ]
    w.workspace.upload("/Shared/drop.py", f"spark.sql('DROP TABLE {table}')".encode())
    run = finished(w, w.jobs.submit(tasks=tasks).run_id)
    told = {t.task_key: w.jobs.get_run_output(t.run_id) for t in run.tasks or []}
    assert set(results(run).values()) == {"SUCCESS"}, [
        (key, each.error, each.error_trace) for key, each in told.items()
    ]
    assert told["notebook"].notebook_output.result == "5" and "|    5|" in told["notebook"].logs
    assert "COMPLETED" in told["pipeline"].logs
    assert told["plain"].logs == "False\n"
    assert task(run, "notebook").start_time >= task(run, "pipeline").end_time


def test_a_sql_file_goes_through_the_door_as_its_principal(workspace: Served) -> None:
    w = workspace.client()
    w.workspace.upload(
        "/Shared/q.sql",
        b"SELECT 1 AS one; -- ; no end\nSELECT :day AS day, ';' AS mark",
        format=ImportFormat.AUTO,
    )
    w.workspace.upload("/Shared/bad.sql", b"SELECT * FROM no_such_table", format=ImportFormat.AUTO)
    warehouse = next(iter(w.warehouses.list())).id
    tasks = [
        Task(
            name,
            sql_task=SqlTask(
                warehouse_id=str(warehouse),
                file=SqlTaskFile(f"/Shared/{name}.sql"),
                parameters={"day": "monday"} if name == "q" else None,
            ),
        )
        for name in ("q", "bad")
    ]
    run = finished(w, w.jobs.submit(tasks=tasks).run_id)
    told = {t.task_key: w.jobs.get_run_output(t.run_id) for t in run.tasks or []}
    assert results(run) == {"q": "SUCCESS", "bad": "FAILED"}, [(key, each.logs) for key, each in told.items()]
    assert told["q"].logs == "1\nmonday\t;\n" and "no_such_table" in told["bad"].error
