"""What a run of a notebook came to: its steps, its failures, and how both are told while it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from nbformat import NotebookNode

from grader.course.notebook import Place, complaint, place_of, role_of, verdict_in
from labs_lib import registry
from labs_lib.registry import Module

Stage = Literal["fresh seed", "replay"]


@dataclass(frozen=True)
class StepRun:
    """One step in one run; `seconds` is the wall time of its answer and check cells."""

    module: str
    step: str
    title: str
    points: float
    max_points: float
    status: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with the step."""
        return self.status in ("pass", "same")


@dataclass(frozen=True)
class Failure:
    """What went wrong, where, in one sentence; `detail` is the traceback or comparison behind it."""

    place: Place
    sentence: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.sentence}"


@dataclass(frozen=True)
class Outcome:
    """One stage of one module; `seed` is None for the replay, which uses the committed seed."""

    module: str
    stage: Stage
    seed: int | None
    seconds: float
    steps: tuple[StepRun, ...]
    failures: tuple[Failure, ...]

    @property
    def ok(self) -> bool:
        """Whether every step was reached and nothing failed."""
        return not self.failures and all(step.ok for step in self.steps)


class Listener(Protocol):
    """Is told about a run while it goes on."""

    def cell(self, place: Place) -> None:
        """A cell has begun."""

    def step(self, run: StepRun) -> None:
        """A check cell is done."""

    def failure(self, failure: Failure) -> None:
        """Something went wrong."""


class Recorder:
    """Gathers one notebook run cell by cell into an Outcome, and tells a listener as it goes."""

    def __init__(self, module: Module, stage: Stage, listener: Listener) -> None:
        self.module, self.stage, self.listener = module, stage, listener
        self.runs: dict[str, StepRun] = {}
        self.failures: list[Failure] = []
        self.spent: dict[str, float] = {}

    def begin(self, cells: Sequence[NotebookNode], index: int) -> None:
        """Note that the cell at `index` has begun."""
        self.listener.cell(place_of(cells, index, self.module))

    def executed(self, cells: Sequence[NotebookNode], index: int, seconds: float) -> None:
        """Note a cell that ran without an exception; a check cell's verdict is judged."""
        role = role_of(cells[index])
        self.spent[role.step] = self.spent.get(role.step, 0.0) + seconds
        if role.kind != "check":
            return
        step = next(each for each in registry.steps(self.module) if each.id == role.step)
        verdict = verdict_in(cells[index].outputs)
        sentence = complaint(verdict, step)
        status = "fail" if sentence else "pass"
        self._step(step.id, verdict.points if verdict else 0.0, status)
        if sentence:
            self.fail(cells, index, sentence)

    def compared(
        self, cells: Sequence[NotebookNode], index: int, seconds: float, problem: str, detail: str
    ) -> None:
        """Note a replayed cell; `problem` says how its outputs differ from the committed, or is ""."""
        role = role_of(cells[index])
        self.spent[role.step] = self.spent.get(role.step, 0.0) + seconds
        if problem:
            self.fail(cells, index, problem, detail)
        if role.kind == "check":
            verdict = verdict_in(cells[index].outputs)
            wrong = any(failure.place.step == role.step for failure in self.failures)
            self._step(role.step, verdict.points if verdict else 0.0, "differs" if wrong else "same")

    def fail(self, cells: Sequence[NotebookNode], index: int, sentence: str, detail: str = "") -> None:
        """Note a failure at the cell at `index`."""
        self.failures.append(Failure(place_of(cells, index, self.module), sentence, detail))
        self.listener.failure(self.failures[-1])

    def _step(self, step_id: str, points: float, status: str) -> None:
        step = next(each for each in registry.steps(self.module) if each.id == step_id)
        run = StepRun(
            self.module.name, step.id, step.title, points, step.points, status, self.spent.get(step.id, 0.0)
        )
        self.runs[step.id] = run
        self.listener.step(run)

    def outcome(self, seed: int | None, seconds: float) -> Outcome:
        """Return what was gathered; a step without a verdict counts as not reached."""
        steps = []
        for step in registry.steps(self.module):
            missed = StepRun(self.module.name, step.id, step.title, 0.0, step.points, "not reached", 0.0)
            steps.append(self.runs.get(step.id, missed))
            if step.id not in self.runs and not self.failures:
                place = Place(self.module.name, step.id, step.title)
                self.failures.append(Failure(place, "the step was not reached"))
                self.listener.failure(self.failures[-1])
        return Outcome(self.module.name, self.stage, seed, seconds, tuple(steps), tuple(self.failures))
