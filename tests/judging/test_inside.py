"""How a notebook is run in its box, with a real kernel and without a Spark server."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from grader.judging import inside


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
