"""Module 1 through the commands that an instructor types: nbgrader's own, and `grader grade` for the class."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from grader import batch, course
from grader.notebook import read, role_of
from grader.reference import seed_of
from labs_lib import registry

ROOT = Path(__file__).resolve().parent.parent
NAME = "01_optimization"
STEPS = {step.id: step for step in registry.steps(registry.module(NAME))}
# What the half-right learner answers: two steps fully, one with the wrong join of the right keys.
HALF = {
    "1a.1": None,
    "1a.2": ('"operator": "SortMergeJoin"', '"operator": "BroadcastHashJoin"'),
    "1b.1": None,
}


def command(root: Path, *arguments: str) -> str:
    """Run a Python module in a shell that knows nothing of a workspace; return what it printed."""
    environment = {key: value for key, value in os.environ.items() if key != "LABS_WORKSPACE"}
    line = [sys.executable, "-m", *arguments]
    done = subprocess.run(line, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def submit(root: Path, student: str, notebook: NotebookNode) -> None:
    path = root / "submitted" / student / NAME / f"{NAME}.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(notebook, path)


def answered(learner: NotebookNode, solution: NotebookNode) -> NotebookNode:
    """The learner's notebook with the answers of HALF."""
    answers = {role.step: cell.source for cell in solution.cells if (role := role_of(cell)).kind == "answer"}
    for cell in learner.cells:
        role = role_of(cell)
        if role.kind == "answer" and role.step in HALF:
            change = HALF[role.step]
            cell.source = answers[role.step].replace(*change) if change else answers[role.step]
    return learner


def test_full_none_and_part_of_the_points_under_three_seeds(tmp_path: Path) -> None:
    shutil.copyfile(ROOT / "nbgrader_config.py", tmp_path / "nbgrader_config.py")
    (tmp_path / "labs_lib").mkdir()
    shutil.copyfile(ROOT / "labs_lib" / "registry.toml", tmp_path / "labs_lib" / "registry.toml")
    (tmp_path / "solutions").mkdir()
    shutil.copytree(ROOT / "solutions" / NAME, tmp_path / "solutions" / NAME)
    command(tmp_path, "nbgrader", "generate_assignment", NAME)
    released = course.learner_file(tmp_path, NAME)
    assert released.read_bytes() == course.learner_file(ROOT, NAME).read_bytes()
    solution = read(course.solution_file(tmp_path, NAME))
    submit(tmp_path, "ada", solution)
    submit(tmp_path, "bob", read(released))
    submit(tmp_path, "cyd", answered(read(released), solution))
    said = command(tmp_path, "nbgrader", "validate", f"submitted/bob/{NAME}/{NAME}.ipynb")
    assert f"VALIDATION FAILED ON {len(STEPS)} CELL(S)" in said
    command(tmp_path, "grader.cli", "grade", NAME)
    command(tmp_path, "nbgrader", "generate_feedback", NAME)
    command(tmp_path, "nbgrader", "export")
    with (tmp_path / "grades.csv").open() as file:
        scores = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    half = STEPS["1a.1"].points + 1.5 + STEPS["1b.1"].points
    assert scores == {"ada": sum(step.points for step in STEPS.values()), "bob": 0, "cyd": half}
    # Two more seeds. Making ready grades the solution and raises unless it gets everything.
    module, seeds = course.chosen(tmp_path, NAME)[0], {seed_of(tmp_path, NAME)}
    for _ in range(2):
        (tmp_path / "build" / "grading" / NAME / "seed").unlink()
        batch.make_ready(tmp_path, module, batch.patience_of(tmp_path))
        seeds.add(seed_of(tmp_path, NAME))
        said = command(tmp_path, "grader.cli", "grade", NAME, "--student", "bob")
        assert re.search(rf"^bob +0/{sum(step.points for step in STEPS.values())} ", said, re.MULTILINE), said
    assert len(seeds) == 3
    page = (tmp_path / f"feedback/cyd/{NAME}/{NAME}.html").read_text(encoding="utf-8")
    assert "1.5 of 2 points" in page and "BroadcastHashJoin" in page
