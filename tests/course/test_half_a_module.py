"""A module with an exercise that is still to come: built, checked, graded and listed with what it has, and nobody is left to wonder."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_course
from nbgrader.api import Gradebook
from rich.console import Console
from tiny_course import NAME, TO_COME, edit

from grader.classroom import class_report
from grader.console import summary
from grader.course import build, drift, paths
from grader.course.notebook import place_of, read
from grader.rehearsal.report import write_report
from labs_lib import registry
from labs_lib.checking import cards
from labs_lib.checking.checker import check
from labs_lib.errors import LabsError

LISTED = "01_tiny 1b (Sums 1b)"


def test_it_builds_and_checks_with_what_it_has_and_names_what_is_to_come(tmp_path: Path) -> None:
    module = tiny_course.finished(tmp_path, half=True)
    assert drift.drift(tmp_path) == []
    learner = read(paths.learner_file(tmp_path, NAME))
    assert learner.cells[-1].source == TO_COME
    assert place_of(learner.cells, len(learner.cells) - 1, module).step == "1a.5"
    outcomes = tiny_course.checked(tmp_path, module)
    assert [(outcome.ok, len(outcome.steps)) for outcome in outcomes] == [(True, 5)] * 2
    console = Console(record=True, width=100)
    console.print(summary(outcomes, list(module.unwritten)))
    assert re.search(rf"{re.escape(LISTED)} +│ not yet written", console.export_text())
    page = write_report(tmp_path, outcomes, list(module.unwritten), 7).read_text(encoding="utf-8")
    assert f"<p>{LISTED}</p>" in page


def test_progress_lists_it_without_marks_or_points(tmp_path: Path) -> None:
    module = tiny_course.make(tmp_path, half=True)
    text, page = cards.progress_text({}, [module]), cards.progress_html({}, [module])
    assert text.splitlines()[1:] == [
        "  1a  · · · · ·  0 of 10 points  Sums 1a",
        "  1b  still to come: Sums 1b",
    ]
    assert "1b Sums 1b" in page and page.count("still to come") == 1
    assert "1b.1" not in page and page.count("of 10 points") == 1


def test_a_class_is_graded_by_the_exercises_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tiny_course.finished(tmp_path, half=True)
    nb = read(paths.learner_file(tmp_path, NAME))
    for cell in nb.cells:
        if cell.id.startswith("answer-1a-"):
            cell.source = f"answer_{cell.id[-1]} = {cell.id[-1]} + SEED"
    path = tmp_path / "submitted" / "ada" / NAME / f"{NAME}.ipynb"
    build.replace(path, build.dumps(nb))
    monkeypatch.setenv("LABS_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("LABS_GRADE_TRUSTING", "1")  # the tiny course has no checks for the judge
    for command in (["generate_assignment", NAME, "--force"], ["autograde", NAME]):
        line = [sys.executable, "-m", "nbgrader", *command]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    with Gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}") as gradebook:
        graded = gradebook.find_submission(NAME, "ada")
        assert (graded.score, graded.max_score) == (10, 10)
    assert TO_COME in class_report.write(tmp_path, module, []).read_text(encoding="utf-8")


def test_a_check_of_a_step_that_is_to_come_says_so() -> None:
    unwritten = next(exercise for module in registry.modules() for exercise in module.to_come)
    with pytest.raises(LabsError, match=re.escape(unwritten.to_come)):
        check(unwritten.steps[0].id)


CELL = '# %% tags=["answer:1b.1"]\n### BEGIN SOLUTION\nx = 1\n### END SOLUTION\n'
WRONG = {
    "silent": (True, f"# {TO_COME}", "# The end.", f"No Markdown cell says '{TO_COME}'"),
    "in code": (True, f"# %% [markdown]\n# {TO_COME}", f'# %%\n"{TO_COME}"', f"No Markdown cell says '{TO_COME}'"),
    "a cell of it": (True, "# %% [markdown]\n# ## A", f"{CELL}\n# %% [markdown]\n# ## A", "but exercise 1b is not yet written"),
    "written": (False, "Sums add up.", TO_COME.replace("1b", "1a"), "(Sums 1a) is still to come.', but it is written"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_notebook_that_says_otherwise_than_the_registry_is_refused(name: str, tmp_path: Path) -> None:
    half, old, new, message = WRONG[name]
    module = tiny_course.make(tmp_path, half)
    edit(paths.source_file(tmp_path, NAME), old, new)
    with pytest.raises(LabsError, match=re.escape(message)):
        build.write_solution(tmp_path, module)


def test_the_sentence_may_stand_in_a_paragraph_and_break_over_lines(tmp_path: Path) -> None:
    module = tiny_course.make(tmp_path, half=True)
    broken = TO_COME.replace(" is ", "\n# is ")
    edit(paths.source_file(tmp_path, NAME), f"# {TO_COME}", f"# So much for sums. {broken} Soon.")
    build.write_solution(tmp_path, module)
