"""Written modules through the commands that an instructor types: nbgrader's own, and `grader grade` for the class."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from grader.classroom import batch
from grader.course import paths
from grader.course.notebook import read, role_of
from grader.judging.reference import seed_of
from labs_lib import registry

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Class:
    """What is graded: a module, under how many seeds, and what the half-right learner answers.

    `half` has the steps with the solution's answer, changed by a replacement in some; `points` is what they are worth together, and `told` what
    the feedback says of the changed one.
    """

    module: str
    seeds: int
    half: dict[str, tuple[str, str] | None]
    points: float
    told: tuple[str, ...]


CLASSES = [
    # Two steps fully, one with the wrong join of the right keys.
    Class(
        "01_optimization",
        2,
        {
            "1a.1": None,
            "1a.2": ('"operator": "SortMergeJoin"', '"operator": "BroadcastHashJoin"'),
            "1b.1": None,
        },
        5.5,
        ("1.5 of 2 points", "BroadcastHashJoin"),
    ),
    # A history without a mistake, and a breaker that forgets to start its cooldown anew.
    Class(
        "02_patterns",
        1,
        {"2a.1": None, "2b.3": ('self.state, self._opened = "open", self.clock()', 'self.state = "open"')},
        5,
        ("2 of 3 points",),
    ),
]


def command(root: Path, *arguments: str) -> str:
    """Run a Python module in a shell that knows nothing of a workspace; return what it printed."""
    environment = {key: value for key, value in os.environ.items() if key != "LABS_WORKSPACE"}
    line = [sys.executable, "-m", *arguments]
    done = subprocess.run(line, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def submit(root: Path, student: str, name: str, notebook: NotebookNode) -> None:
    path = root / "submitted" / student / name / f"{name}.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(notebook, path)


def answered(
    learner: NotebookNode, solution: NotebookNode, half: dict[str, tuple[str, str] | None]
) -> NotebookNode:
    """The learner's notebook with those answers."""
    answers = {role.step: cell.source for cell in solution.cells if (role := role_of(cell)).kind == "answer"}
    for cell in learner.cells:
        role = role_of(cell)
        if role.kind == "answer" and role.step in half:
            change = half[role.step]
            cell.source = answers[role.step].replace(*change) if change else answers[role.step]
    return learner


@pytest.mark.parametrize("graded", CLASSES, ids=lambda graded: graded.module)
def test_full_none_and_part_of_the_points_under_fresh_seeds(graded: Class, tmp_path: Path) -> None:
    name, steps = graded.module, list(registry.steps(registry.module(graded.module)))
    full = sum(step.points for step in steps)
    shutil.copyfile(ROOT / "nbgrader_config.py", tmp_path / "nbgrader_config.py")
    (tmp_path / "labs_lib").mkdir()
    shutil.copyfile(ROOT / "labs_lib" / "registry.toml", tmp_path / "labs_lib" / "registry.toml")
    (tmp_path / "solutions").mkdir()
    shutil.copytree(ROOT / "solutions" / name, tmp_path / "solutions" / name)
    command(tmp_path, "nbgrader", "generate_assignment", name)
    released = paths.learner_file(tmp_path, name)
    assert released.read_bytes() == paths.learner_file(ROOT, name).read_bytes()
    solution = read(paths.solution_file(tmp_path, name))
    submit(tmp_path, "ada", name, solution)
    submit(tmp_path, "bob", name, read(released))
    submit(tmp_path, "cyd", name, answered(read(released), solution, graded.half))
    said = command(tmp_path, "nbgrader", "validate", f"submitted/bob/{name}/{name}.ipynb")
    assert f"VALIDATION FAILED ON {len(steps)} CELL(S)" in said
    command(tmp_path, "grader.cli", "grade", name)
    command(tmp_path, "nbgrader", "generate_feedback", name)
    command(tmp_path, "nbgrader", "export")
    with (tmp_path / "grades.csv").open() as file:
        scores = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    assert scores == {"ada": full, "bob": 0, "cyd": graded.points}
    # Further seeds. Making ready grades the solution and raises unless it gets everything.
    module, seeds = paths.chosen(tmp_path, name)[0], {seed_of(tmp_path, name)}
    for _ in range(graded.seeds - 1):
        (tmp_path / "build" / "grading" / name / "seed").unlink()
        batch.make_ready(tmp_path, module, batch.patience_of(tmp_path))
        seeds.add(seed_of(tmp_path, name))
        said = command(tmp_path, "grader.cli", "grade", name, "--student", "bob")
        assert re.search(rf"^bob +0/{full} ", said, re.MULTILINE), said
    assert len(seeds) == graded.seeds
    page = (tmp_path / f"feedback/cyd/{name}/{name}.html").read_text(encoding="utf-8")
    assert all(sentence in page for sentence in graded.told)
