"""A module's untouched and half-right notebooks through sandbox and judge, and then through the commands that an instructor types."""

from __future__ import annotations

import csv
import os
import secrets
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from grader.course import paths
from grader.course.notebook import read
from grader.proof.boxed import grade_boxed, grade_laid, half_of, half_right, lay
from labs_lib import registry
from labs_lib.errors import LabsError
from tests.drawn import MODULES, ROOT, SEED, drawn


def command(root: Path, *arguments: str) -> None:
    """Run a Python module in a shell that knows nothing of a workspace."""
    environment = {key: value for key, value in os.environ.items() if key != "LABS_WORKSPACE"}
    line = [sys.executable, "-m", *arguments]
    done = subprocess.run(line, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def submit(root: Path, student: str, name: str, notebook: NotebookNode) -> None:
    path = root / "submitted" / student / name / f"{name}.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(notebook, path)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_a_half_right_notebook_is_part_of_the_points_and_can_be_made(module: registry.Module) -> None:
    half = half_of(ROOT, module)
    assert 0 < sum(answer.points for answer in half.values()) < sum(s.points for s in registry.steps(module))
    assert any(answer.old for answer in half.values()), "one answer should be half right itself"
    made, untouched = half_right(ROOT, module, half), read(paths.learner_file(ROOT, module.name))
    assert sum(a.source != b.source for a, b in zip(made.cells, untouched.cells, strict=True)) == len(half)


@pytest.mark.parametrize(
    "text",
    [
        "answers = 3",
        "[[answers]]\nstep = '1a.9'\npoints = 1",
        "[[answers]]\nstep = '1a.1'\npoints = 99",
        "[[answers]]\nstep = '1a.1'\npoints = 1\nold = 'a'",
    ],
)
def test_a_half_right_notebook_that_is_misstated_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "tests" / "half_right" / "01_optimization.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(LabsError, match=r"01_optimization\.toml"):
        half_of(tmp_path, registry.module("01_optimization"))


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is for Linux")
@pytest.mark.xdist_group("the drawn module in its box")
def test_the_drawn_module_gives_everything_and_half() -> None:
    """And nothing to an untouched notebook: in `make prove`; tests/course runs that notebook in every run, without a box."""
    drawn_one = registry.module(drawn().module)
    assert grade_boxed(ROOT, drawn_one, SEED, with_untouched=False).problems == ()


@pytest.mark.proof
@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is for Linux")
@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_none_and_part_of_the_points_under_a_fresh_seed(module: registry.Module, tmp_path: Path) -> None:
    """The gradebook, feedback and export say what the judge said, and `grader grade` makes nothing a second time."""
    name, half = module.name, half_of(ROOT, module)
    seed = secrets.randbelow(2**31 - 2) + 1
    lay(ROOT, module, seed, tmp_path)
    boxed = grade_laid(tmp_path, module, seed, half)
    assert boxed.problems == (), f"seed {seed}"
    command(tmp_path, "nbgrader", "generate_assignment", name, "--force")
    released = paths.learner_file(tmp_path, name)
    assert released.read_bytes() == paths.learner_file(ROOT, name).read_bytes()
    submit(tmp_path, "bob", name, read(released))
    submit(tmp_path, "cyd", name, half_right(tmp_path, module, half))
    kept = tmp_path / "build" / "grading" / name
    before = {path: path.stat().st_mtime_ns for path in kept.rglob("*.json")}
    command(tmp_path, "grader.cli", "grade", name)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(list((kept / "results").glob("*.json"))) == 2
    command(tmp_path, "nbgrader", "generate_feedback", name)
    command(tmp_path, "nbgrader", "export")
    with (tmp_path / "grades.csv").open() as file:
        scores = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    assert scores == {"bob": 0, "cyd": sum(answer.points for answer in half.values())}
    page = (tmp_path / f"feedback/cyd/{name}/{name}.html").read_text(encoding="utf-8")
    assert all(answer.told in page for answer in half.values())
