"""nbgrader's autograde with the sandbox and the judge: exercise 1a alone, from a solution, an untouched notebook and attacks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbgrader.api import Gradebook

from grader import build, course
from grader.notebook import read

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is for Linux")

HERE = Path(__file__).resolve().parent
NAME = "01_optimization"


@pytest.fixture(scope="module")
def small_course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course of exercise 1a without its lessons, released."""
    root = tmp_path_factory.mktemp("course")
    registry = (HERE.parent / "labs_lib" / "registry.toml").read_text(encoding="utf-8")
    source = course.source_file(HERE.parent, NAME).read_text(encoding="utf-8")
    lesson, exercise, after = (source.index(f"# %% [markdown]\n# ## {title}") for title in ("Lesson 1:", "Exercise 1a:", "Lesson 7:"))
    registry = registry[: registry.index('[[modules.exercises]]\nid = "1b"')]
    for path, text in (
        (root / "labs_lib" / "registry.toml", registry),
        (course.source_file(root, NAME), source[:lesson] + source[exercise:after]),
    ):
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    shutil.copyfile(HERE.parent / "nbgrader_config.py", root / "nbgrader_config.py")
    module = course.chosen(root, NAME)[0]
    build.write_solution(root, module)
    build.generate(root, NAME)
    return root


def nbgrader(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nbgrader", *arguments]
    env = {key: value for key, value in os.environ.items() if key not in {"LABS_GRADE_TRUSTING", "LABS_NO_SANDBOX"}}
    return subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=1500)


def submit(root: Path, student: str, answers: dict[str, str]) -> None:
    nb = read(course.learner_file(root, NAME))
    for cell in nb.cells:
        if cell.id in answers:
            cell.source = answers[cell.id]
    path = root / "submitted" / student / NAME / f"{NAME}.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(nb, path)


def solutions(root: Path) -> dict[str, str]:
    cells: list[NotebookNode] = read(course.solution_file(root, NAME)).cells
    return {cell.id: cell.source for cell in cells if cell.id.startswith("answer-")}


def test_points_come_from_what_was_earned_and_from_nothing_else(small_course: Path) -> None:
    root = small_course
    attacks = {
        f"answer-{path.stem.split('-')[0].replace('.', '-')}": path.read_text(encoding="utf-8")
        for path in sorted((HERE / "attacks").glob("*.py"))
    }
    submit(root, "solution", solutions(root))
    submit(root, "untouched", {})
    submit(root, "attacker", attacks)
    assert nbgrader(root, "generate_assignment", NAME, "--force").returncode == 0
    done = nbgrader(root, "autograde", NAME)
    assert done.returncode == 0, done.stderr
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as gradebook:
        stored = {
            student: {
                grade.name: grade.score for grade in gradebook.find_submission_notebook(NAME, NAME, student).grades
            }
            for student in ("solution", "untouched", "attacker")
        }
    assert sum(stored["solution"].values()) == 11, (stored, done.stderr)
    assert sum(stored["untouched"].values()) == 0
    # The slow query has the rows that are asked for, which is honest work worth that part of its step.
    assert {name: score for name, score in stored["attacker"].items() if score} == {"check-1a-3": 1}, stored
    page = (root / "autograded" / "attacker" / NAME / f"{NAME}.ipynb").read_text(encoding="utf-8")
    assert "SEEN /" not in page and "hidden /root" in page
    again = nbgrader(root, "autograde", NAME, "--force")  # nothing runs a second time
    assert again.returncode == 0, again.stderr
