"""How a notebook is run in its box, with a real kernel; without a Spark server where the test is not about one."""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from grader.judging import inside, submission
from grader.judging.submission import Patience
from grader.sandbox import workbox
from labs_lib import registry


def test_a_cell_has_its_own_time_and_the_next_one_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inside.server, "ensure", lambda: None)
    monkeypatch.setattr(inside, "IMPORTS", "")
    monkeypatch.setenv("LABS_WORKSPACE", str(tmp_path))
    cells = ["import time; time.sleep(2); print('in time')", "time.sleep(600)", "print('and on')"]
    nbformat.write(new_notebook(cells=[new_code_cell(cell) for cell in cells]), tmp_path / "submission.ipynb")
    inside.main(tmp_path / "submission.ipynb", tmp_path / "executed.ipynb", 5)
    outputs = [cell.outputs for cell in nbformat.read(tmp_path / "executed.ipynb", as_version=4).cells]
    assert [each[0].get("text", each[0].get("ename")) for each in outputs if each] == [
        "in time\n",
        "KeyboardInterrupt",
        "and on\n",
    ]


IN_A_BATCH = """
def count(batch, batch_id):
    from pyspark.sql import SparkSession
    session = SparkSession.builder.appName("x").getOrCreate()
    batch.createOrReplaceTempView("arrived")
    session.sql("SELECT count(*) AS rows FROM arrived").write.saveAsTable("counted")
run_stream(lab, "counted", lab.spark.readStream.table("five").writeStream.foreachBatch(count))
print(lab.spark.table("counted").collect())
"""


@pytest.mark.alone
@pytest.mark.proof
@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is for Linux")
def test_a_foreachbatch_function_has_the_batchs_session_in_a_box_too() -> None:
    setup = "from labs_lib import open_lab\nfrom labs_lib.patterns.streams import run_stream\nlab = open_lab('02_patterns', seed=SEED)\n"
    setup += "lab.spark.range(5).write.saveAsTable('five')"
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in (setup, IN_A_BATCH)])
    workbox.prepare(5, [])
    module = registry.module("02_patterns")
    with submission.run(notebook, module, 5, [], True, Patience(notebook=300)) as ran:
        assert ran.ended.returncode == 0, ran.ended
        outputs = [output for cell in ran.executed["cells"] for output in cell["outputs"]]
    assert ["".join(output.get("text", "")) for output in outputs] == ["[Row(rows=5)]\n"], outputs
