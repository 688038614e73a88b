"""Notebook cells as this course uses them: roles by tags, places for people, verdicts in outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from labs_lib import registry
from labs_lib.registry import Module, Step

VERDICT_MIME = "application/vnd.labs.verdict+json"
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
PLAIN_ROLES = ("parameters", "setup", "demo")
STEP_ROLES = ("answer", "check")


@dataclass(frozen=True)
class Role:
    """What a tag makes of a cell: parameters, setup, answer or check of a step; "" for a lesson cell.

    A demo is a lesson's code that no exercise builds on: grading leaves it out, and so does a run under a fresh seed.
    """

    kind: str = ""
    step: str = ""


@dataclass(frozen=True)
class Place:
    """Where a cell is, for a person to find: its step, or the heading above and the step that follows."""

    module: str
    step: str
    title: str
    heading: str = ""

    def __str__(self) -> str:
        exercise = self.step.split(".")[0]
        if self.heading:
            return f'{self.module}, exercise {exercise}, before step {self.step}, under "{self.heading}"'
        return f"{self.module}, exercise {exercise}, step {self.step} ({self.title})"


@dataclass(frozen=True)
class Verdict:
    """What a check cell's output says: points out of max_points, and a line per finding that failed."""

    step: str
    points: float
    max_points: float
    status: str
    failed: tuple[str, ...] = ()


def role_of(cell: NotebookNode) -> Role:
    """Return the role a cell's tags give it; a cell without one of the course's tags is a lesson cell."""
    for tag in cell.metadata.get("tags", []):
        kind, _, step = tag.partition(":")
        if kind in STEP_ROLES and step:
            return Role(kind, step)
        if tag in PLAIN_ROLES:
            return Role(tag)
    return Role()


def place_of(cells: Sequence[NotebookNode], index: int, module: Module) -> Place:
    """Name the place of the cell at `index`: its step, or a lesson cell's heading and next step."""
    titles = {step.id: step.title for step in registry.steps(module)}
    own = role_of(cells[index]).step
    if own:
        return Place(module.name, own, titles.get(own, ""))
    following = [role_of(cell).step for cell in cells[index:]] + list(titles)[-1:]
    step = next(each for each in following if each)
    heading = next((found for cell in reversed(cells[: index + 1]) if (found := _heading(cell))), "the top")
    return Place(module.name, step, titles.get(step, ""), heading)


def _heading(cell: NotebookNode) -> str:
    if cell.cell_type != "markdown":
        return ""
    lines = [line for line in cell.source.splitlines() if line.startswith("#")]
    return lines[-1].lstrip("# ").strip() if lines else ""


def verdict_in(outputs: Sequence[NotebookNode]) -> Verdict | None:
    """Return the verdict among a check cell's outputs, or None where there is none that can be read.

    The result must carry the verdict as JSON and the same points as text/plain, by which nbgrader grades.
    """
    for output in outputs:
        data: dict[str, Any] = output.get("data", {})
        if output.output_type == "execute_result" and VERDICT_MIME in data:
            return _verdict(data[VERDICT_MIME], data.get("text/plain"))
    return None


def _verdict(raw: Any, text: Any) -> Verdict | None:
    try:
        points = float(raw["points"])
        failed = tuple(
            f"{each['name']}: expected {each['expected']}, found {each['found']}"
            for each in raw["findings"]
            if not each["ok"]
        )
        verdict = Verdict(raw["step"], points, float(raw["max_points"]), raw["status"], failed)
        return verdict if math.isfinite(points) and float(text) == points else None
    except (KeyError, TypeError, ValueError):
        return None


def complaint(verdict: Verdict | None, step: Step) -> str:
    """Say in one sentence why a verdict is not full marks for `step`; "" if it is."""
    if verdict is None:
        return "the check cell returned no verdict"
    if verdict.step != step.id or verdict.max_points != step.points:
        return f"the verdict is of {verdict.step} for {verdict.max_points:g}, not {step.id} for {step.points}"
    if verdict.points != step.points:
        why = "; ".join(verdict.failed) or verdict.status
        return f"{verdict.points:g} of {step.points} points: {why}"
    return ""


def read(path: Path) -> NotebookNode:
    """Return the notebook at `path` in the current format."""
    return nbformat.read(path, as_version=4)


def dumps(nb: NotebookNode) -> str:
    """Return a notebook's text as it is stored: sorted keys, one final newline."""
    return nbformat.writes(nb) + "\n"
