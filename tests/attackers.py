"""A class of attackers: attacks put into as few submissions as hold them, graded by one command, and what each of them got.

A file in tests/attacks named after a step stands in that step's answer cell, where it may earn what its comment says (else nothing); `alone-...`
stands in 1a.1 of a submission of its own, whose 1a.5 is right.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import nbformat
import psutil
import pytest
from nbformat import NotebookNode
from nbgrader.api import Gradebook

from grader.course import paths
from grader.course.notebook import read

FULL = {"1a.1": 2, "1a.2": 2, "1a.3": 3, "1a.4": 2, "1a.5": 2}
SECRET = "labs-secret-of-the-caller"


@dataclass(frozen=True)
class Course:
    """A released course at `root`, the attacks on it, what its commands need in their environment, and the points of its steps."""

    root: Path
    name: str
    attacks: tuple[Path, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    full: Mapping[str, float] = field(default_factory=lambda: FULL)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a Python module in the course's folder."""
        inherited = {
            key: value
            for key, value in os.environ.items()
            if key not in {"LABS_GRADE_TRUSTING", "LABS_NO_SANDBOX", "LABS_WORKSPACE"}
        }
        env = inherited | {"LABS_TEST_SECRET": SECRET} | dict(self.environment)
        line = [sys.executable, "-m", *arguments]
        return subprocess.run(line, cwd=self.root, env=env, capture_output=True, text=True)

    def submit(self, student: str, content: NotebookNode | bytes) -> None:
        """Hand in a notebook, or bytes in its place."""
        path = self.root / "submitted" / student / self.name / f"{self.name}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_bytes(content if isinstance(content, bytes) else nbformat.writes(content).encode())

    def with_answers(self, answers: Mapping[str, str]) -> NotebookNode:
        """The learner's notebook with these answers."""
        nb = read(paths.learner_file(self.root, self.name))
        for step, text in answers.items():
            cell_of(nb, f"answer-{step.replace('.', '-')}").source = text
        return nb

    def solved(self) -> dict[str, str]:
        """The solution's answers by step."""
        nb = read(paths.solution_file(self.root, self.name))
        return {step: cell_of(nb, f"answer-{step.replace('.', '-')}").source for step in self.full}

    def submit_attackers(self) -> None:
        """Hand in the solution, an untouched notebook with a script in it, and all attacks."""
        answers = self.solved()
        self.submit("solution", self.with_answers(answers))
        untouched = self.with_answers({})
        untouched.cells.append(nbformat.v4.new_markdown_cell("<script>alert(1)</script> **my notes**"))
        self.submit("untouched", untouched)
        for number, attacks in enumerate(packed(self.attacks)):
            texts = {step: path.read_text() for step, path in attacks.items()}
            self.submit(f"packed-{number}", self.with_answers(texts))
        for path in alone(self.attacks):
            own = {"1a.1": path.read_text(), "1a.5": answers["1a.5"]}
            self.submit(path.stem, self.with_answers(own))

    def grade(self) -> Graded:
        """The whole class, graded by one command."""
        done = self.command("grader.cli", "grade", self.name)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return Graded(self, done.stdout, self.stored_points())

    def stored_points(self) -> dict[str, dict[str, float]]:
        """Points by student and step, as the gradebook has them."""
        with Gradebook(f"sqlite:///{self.root / 'gradebook.db'}") as gradebook:
            return {
                submission.student_id: {
                    grade.name.removeprefix("check-").replace("-", "."): grade.score
                    for notebook in submission.notebooks
                    for grade in notebook.grades
                }
                for submission in gradebook.assignment_submissions(self.name)
            }


@dataclass(frozen=True)
class Graded:
    """What the class's one grading left: the printed lines, and points by student and step."""

    course: Course
    printed: str
    points: dict[str, dict[str, float]]


def cell_of(nb: NotebookNode, grade_id: str) -> NotebookNode:
    """The cell that nbgrader knows by this name."""
    return next(cell for cell in nb.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == grade_id)


def on_steps(attacks: tuple[Path, ...]) -> list[Path]:
    """The attacks that stand in a step's answer cell."""
    return [path for path in attacks if not path.stem.startswith("alone-")]


def alone(attacks: tuple[Path, ...]) -> list[Path]:
    """The attacks that leave nothing of a submission to others."""
    return [path for path in attacks if path.stem.startswith("alone-")]


def packed(attacks: tuple[Path, ...]) -> list[dict[str, Path]]:
    """The attacks on single steps, put together into as few submissions as hold them."""
    steps = sorted({path.stem.split("-")[0] for path in on_steps(attacks)})
    by_step = {step: [path for path in attacks if path.stem.startswith(f"{step}-")] for step in steps}
    most = max(map(len, by_step.values()))
    return [{step: paths[k] for step, paths in by_step.items() if k < len(paths)} for k in range(most)]


class Attacked:
    """The tests that every class of attackers is held to. A subclass names the attacks, its module has the fixture `graded`."""

    attacks: ClassVar[tuple[Path, ...]]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        for argument, chosen in (("on_a_step", on_steps), ("violent", alone)):
            if argument in metafunc.fixturenames:
                metafunc.parametrize(argument, chosen(self.attacks), ids=lambda path: path.stem)

    def test_the_solution_gets_everything_and_an_untouched_notebook_nothing(self, graded: Graded) -> None:
        assert graded.points["solution"] == graded.course.full
        assert set(graded.points["untouched"].values()) == {0}

    def test_an_attack_earns_what_its_honest_part_is_worth(self, on_a_step: Path, graded: Graded) -> None:
        """What its comment says, or nothing."""
        step = on_a_step.stem.split("-")[0]
        submissions = enumerate(packed(self.attacks))
        number = next(number for number, attacks in submissions if attacks.get(step) == on_a_step)
        stated = re.search(r"Earns: ([\d.]+)", on_a_step.read_text())
        assert graded.points[f"packed-{number}"][step] == (float(stated[1]) if stated else 0)

    def test_a_violent_attack_earns_nothing_and_is_told_of(self, violent: Path, graded: Graded) -> None:
        """Nothing for its own step, no more than they are worth for the others, and a line in the report."""
        assert graded.points[violent.stem]["1a.1"] == 0
        full = graded.course.full
        assert all(graded.points[violent.stem][step] <= full[step] for step in full)
        assert violent.stem in graded.printed

    def test_nothing_was_seen_reached_or_left(self, graded: Graded) -> None:
        """By the outputs that feedback shows, and by what runs and lies on this machine."""
        notebooks = [read(path) for path in (graded.course.root / "autograded").rglob("*.ipynb")]
        outputs = [str(cell.outputs) for nb in notebooks for cell in nb.cells if cell.cell_type == "code"]
        assert any(outputs)
        for output in outputs:
            assert SECRET not in output and "<script>alert" not in output
            assert not re.search(r"SEEN (\[[^\]]|\{|\d)|CONNECTED|WROTE", output), output
        commands = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
        assert not [line for line in commands if "labs-attack-daemon" in line]
        assert not Path("/tmp/stolen").exists()
