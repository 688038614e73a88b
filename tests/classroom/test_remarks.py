"""What a run in the box says of an answer that raised, of input() and of exit(): really run in a kernel, without Spark."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from grader.judging.remarks import explained, remarks
from labs_lib.checking.verdict import Status, Verdict


def notebook(answer: str, more: tuple[str, ...] = (), second: str = "x = 2") -> NotebookNode:
    """Two steps: each an answer and its check, with a lesson before them and cells of the learner's own in the first."""

    def named(name: str, source: str) -> NotebookNode:
        return new_code_cell(source, metadata={"nbgrader": {"grade_id": name}})

    return new_notebook(
        cells=[
            named("setup-1", "check = print"),
            new_markdown_cell("A lesson."),
            named("answer-1a-1", answer),
            *map(new_code_cell, more),
            named("check-1a-1", 'check("1a.1")'),
            named("answer-1a-2", second),
            named("check-1a-2", 'check("1a.2")'),
        ]
    )


def ran(nb: NotebookNode, folder: Path) -> Any:
    """The executed notebook as plain data, as far as the kernel came."""
    executed, path = nbformat.from_dict(nb), folder / "executed.ipynb"
    client = NotebookClient(
        executed, kernel_name="python3", allow_errors=True, timeout=60,
        on_cell_executed=lambda cell, **_: nbformat.write(executed, path),
    )  # fmt: skip
    with contextlib.suppress(DeadKernelError):
        client.execute()
    return json.loads(path.read_text())


def verdicts(status: Status = "unanswered") -> list[Verdict]:
    return [
        Verdict(step, "Title", status, 2 if status == "pass" else 0, 2, "No answer yet.")
        for step in ("1a.1", "1a.2")
    ]


def told(nb: NotebookNode, executed: Any, status: Status = "unanswered") -> list[str]:
    after = explained(verdicts(status), nb, executed)
    assert [(each.status, each.points) for each in after] == [(e.status, e.points) for e in verdicts(status)]
    return [each.sentence.removeprefix("No answer yet.").strip() for each in after]


RAISED = {
    "a name": ("x = 1\n\nanswer = no_such + 1", "NameError: name 'no_such' is not defined", 3),
    "in a function of the cell": (
        "def f():\n    return 1 / 0\n\nanswer = f()",
        "ZeroDivisionError: division by zero",
        4,
    ),
    "in a library": ("import json\njson.loads('{')", "JSONDecodeError: Expecting property name", 2),
    "syntax": ("x = 1\ny = = 2", "SyntaxError: invalid syntax", 2),
    "without a text": ("assert False", "AssertionError", 1),
    "of several lines": ("raise ValueError('one\\ntwo')", "ValueError: one", 1),
    "sys.exit": ("import sys\nsys.exit(3)", "SystemExit: 3", 0),
}


@pytest.mark.parametrize("name", RAISED)
def test_a_step_says_what_its_answer_raised_and_in_which_line(tmp_path: Path, name: str) -> None:
    source, said, line = RAISED[name]
    nb = notebook(source)
    first, second = told(nb, ran(nb, tmp_path))
    where = f", line {line}" if line else ""
    assert first.startswith(f"The answer cell (cell 3) ended with an error{where}: {said}")
    assert first.endswith(".") and "two" not in first
    assert second == ""


def test_a_solved_step_says_nothing_and_the_answers_own_error_comes_first(tmp_path: Path) -> None:
    nb = notebook("1 / 0", ("other",))
    executed = ran(nb, tmp_path)
    assert told(nb, executed, "pass") == ["", ""]
    assert "(cell 3)" in told(nb, executed)[0]
    nb = notebook("x = 1", ("other",))
    assert told(nb, ran(nb, tmp_path))[0].startswith(
        "A cell above the check (cell 4) ended with an error, line 1: NameError"
    )
    nb.cells[0].source = "no_check = 1"
    assert told(nb, ran(nb, tmp_path))[1].startswith(
        "The check cell (cell 7) ended with an error, line 1: NameError"
    )


def test_input_is_named(tmp_path: Path) -> None:
    nb = notebook("x = 1\nname = input('name? ')")
    executed = ran(nb, tmp_path)
    said = "line 2: `input()` waits for somebody at a keyboard, and nobody is there in grading."
    assert told(nb, executed)[0] == f"The answer cell (cell 3) ended with an error, {said}"
    assert list(remarks(nb, executed)) == [f"Cell 3, {said}"]


@pytest.mark.parametrize(
    "call", ["exit()", "quit()", "exit", "import os\nos._exit(0)", "if True:\n    exit(1)  # done"]
)
def test_what_ended_the_kernel_is_named_at_each_later_step(tmp_path: Path, call: str) -> None:
    # The kernel goes on for a moment after exit(), so that there has to be time for it to end.
    nb = notebook(f"x = 1\n{call}", ("import time; time.sleep(3)",) if "_exit" not in call else ())
    executed = ran(nb, tmp_path)
    for cell in executed["cells"][4:]:
        cell["execution_count"] = None
    name = call.splitlines()[-1].strip().removesuffix("  # done")
    said = f"`{name}` in cell 3, line {call.count(chr(10)) + 2}, ended the kernel; the cells below it were not run."
    assert list(remarks(nb, executed)) == [said]
    assert told(nb, executed)[1] == said


def test_a_kernel_that_ended_otherwise_is_told_by_the_cell(tmp_path: Path) -> None:
    nb = notebook("x = 1\nimport os; os.abort()")
    executed = ran(nb, tmp_path)
    for cell in executed["cells"][2:]:
        cell["execution_count"] = None
    said = "The kernel ended in cell 3; the cells below it were not run."
    assert list(remarks(nb, executed)) == [said]
    assert told(nb, executed)[1] == said


def test_a_kernel_that_went_on_was_not_ended(tmp_path: Path) -> None:
    nb = notebook("def leave():\n    exit()")
    assert list(remarks(nb, ran(nb, tmp_path))) == []


FORGED: list[Any] = [
    None,
    [],
    {"cells": None},
    {"cells": [1] * 6},
    {"cells": [{"outputs": 7}] * 6},
    {"cells": [{"outputs": [7, None, {}]}] * 6},
    {"cells": [{"outputs": [{"output_type": "error", "ename": 7, "evalue": None, "traceback": {}}]}] * 6},
    {
        "cells": [
            {"outputs": [{"output_type": "error", "ename": "X" * 10**6, "evalue": "y\u202e\x1b" * 10**5}]}
        ]
        * 6
    },
    {
        "cells": [
            {"outputs": [{"output_type": "error", "traceback": ["Cell In[1], line 999999", 7] * 10**4}]}
        ]
        * 6
    },
    {"cells": [{"outputs": [{"output_type": "error", "traceback": ["\x1b[" * 10**6] * 100}]}] * 6},
    {"cells": [{"execution_count": "x"}] * 6},
]


@pytest.mark.parametrize("executed", FORGED, ids=range(len(FORGED)))
def test_a_forged_notebook_gives_bounded_text_and_no_points(executed: Any) -> None:
    nb = notebook("x = 1")
    for sentence in (*told(nb, executed), *remarks(nb, executed)):
        assert (
            len(sentence) < 500 and (not sentence or sentence.isprintable()) and "line 999999" not in sentence
        )
