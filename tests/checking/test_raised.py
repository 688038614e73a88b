"""What a card says of an answer cell that raised. Without Spark; on a card in a notebook: tests/engine/test_session_habits.py."""

from __future__ import annotations

import nbformat
import pytest
from nbclient import NotebookClient

from labs_lib import registry
from labs_lib.checking import raised
from labs_lib.engine import runs
from labs_lib.engine.runs import Run

STEP = registry.step("1a.2")
OTHER, CHECK = Run("x = 1"), Run('check("1a.2")')
BROKEN = Run("a = 1\nhot_keys = b\nhot_keys.show()", "NameError: name 'b' is not defined", 2)
SAID = "The answer cell ended with an error, line 2: NameError: name 'b' is not defined"


def test_the_steps_name_is_the_one_of_these_tests() -> None:
    assert "hot_keys" in {answer.name for answer in STEP.answers}


@pytest.mark.parametrize(
    ("run", "told"),
    [
        ([OTHER, BROKEN, CHECK], SAID),
        ([BROKEN, OTHER, CHECK], SAID),  # a cell between
        ([BROKEN, Run("hot_keys.show()", "NameError: name 'hot_keys'"), CHECK], SAID),  # what follows from it
        ([BROKEN, Run("hot_keys = 1"), CHECK], ""),  # mended
        ([BROKEN, Run("hot_keys = 1\ncheck('1a.2')")], ""),  # mended, and the check in the same cell
        ([BROKEN, Run("hot_keys == 1"), CHECK], SAID),
        ([Run("other = 1\n1/0", "ZeroDivisionError: `x`", 2), CHECK],
         "The cell before this one ended with an error, line 2: ZeroDivisionError: 'x'"),
        ([Run("hot_keys = (", "SyntaxError: '(' was never closed", 0), CHECK],
         "The answer cell ended with an error: SyntaxError: '(' was never closed"),
        ([Run("a, hot_keys = 1", "TypeError: no"), CHECK], "The answer cell ended with an error: TypeError: no"),
        ([OTHER, CHECK], ""),
        ([CHECK], ""),
        ([], ""),
    ],
)  # fmt: skip
def test_the_error_of_the_cell_that_answers_is_told(run: list[Run], told: str) -> None:
    assert raised.sentence(STEP, run) == told


def test_a_tables_cell_is_known_by_its_name_in_any_case() -> None:
    step, name = next(
        (step, answer.name)
        for step in registry.steps(registry.load())
        for answer in step.answers
        if answer.kind == "table"
    )
    made = Run(f'spark.sql("CREATE TABLE {name.upper()} AS SELECT 1")', "ParseException: no", 1)
    assert raised.sentence(step, [made, OTHER, CHECK]).startswith(
        "The answer cell ended with an error, line 1:"
    )


CELLS = {
    "watch": "from labs_lib.engine import runs\nruns.watch(); runs.watch()",
    "fine": "def fails():\n    return 1 / 0",
    "raises": "a = 1\n\nfails()",
    "no Python": "a = 1\nb = (",
    "magic": "%no_such_magic",
    "exits": "import sys\nsys.exit(3)",
    "told": "for run in runs.latest(): print((run.source[:8], run.raised, run.line))",
}


def test_a_notebook_knows_what_its_cells_raised() -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS.values()])
    NotebookClient(notebook, timeout=120, allow_errors=True).execute()
    told = notebook.cells[-1].outputs[0].text.splitlines()
    assert told[:2] == ["('def fail', '', 0)", "('a = 1\\n\\nf', 'ZeroDivisionError: division by zero', 3)"]
    assert "SyntaxError" in told[2] and told[2].endswith("2)")
    assert "UsageError" in told[3] and "SystemExit: 3" in told[4]
    assert told[5] == "('for run ', '', 0)" and len(told) == 6


def test_outside_of_ipython_nothing_is_remembered() -> None:
    runs.watch()
    assert runs.latest() == []
