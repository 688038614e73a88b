"""(c) Time of the check cells, and (d) wall time of module 1's solution against the time that Spark was busy."""

from __future__ import annotations

import shutil
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

import numpy as np
from nbformat import NotebookNode
from rich.console import Console

from benchmarks import busy
from benchmarks.busy import Interval
from benchmarks.figures import Figure, Result
from benchmarks.ground import ROOT, Ground
from benchmarks.notebook import MODULE
from grader.course import paths
from grader.course.notebook import VERDICT_MIME, Place, place_of, role_of
from grader.rehearsal.execute import run_solution
from grader.rehearsal.outcome import Failure, StepRun
from labs_lib import registry
from labs_lib.engine import server
from labs_lib.errors import LabsError

MEDIAN_TARGET, TAIL_TARGET = 0.3, 2.0  # seconds; issue 3, "Benchmarks", (c)
WALL_TARGET = 1.5  # times the busy time; (d)
LARGEST = 6  # cells that are named with the time in which Spark waited for them


@dataclass(frozen=True)
class Cell:
    """A code cell that ran: what it is, its window, and how much of it Spark was busy."""

    name: str
    window: Interval
    busy: float

    @property
    def seconds(self) -> float:
        return self.window[1] - self.window[0]

    @property
    def waiting(self) -> float:
        """Seconds in which Spark had nothing to do."""
        return self.seconds - self.busy


@dataclass(frozen=True)
class Run:
    """One run of the solution on a cold server."""

    wall: float
    checks: dict[str, float]
    jobs: float
    busy: float
    cells: tuple[Cell, ...]
    failures: tuple[str, ...]


class Silent:
    """A listener that tells nobody; a failed step is found in the outcome."""

    def cell(self, place: Place) -> None: ...

    def step(self, run: StepRun) -> None: ...

    def failure(self, failure: Failure) -> None: ...


def measure(place: Ground, rounds: int, parts: Iterable[str], console: Console) -> list[Result]:
    """Run the solution `rounds` times, each with a cold server and a fresh workspace; report the parts asked for."""
    runs = []
    for number in range(1, rounds + 1):
        runs.append(_run(place))
        console.print(
            f"(c, d) round {number}: {runs[-1].wall:.1f} s, Spark busy {runs[-1].busy:.1f} s", highlight=False
        )
        for sentence in runs[-1].failures:
            console.print(f"[red]A step failed in this run: {sentence}", soft_wrap=True, highlight=False)
    reports = {"c": _checks, "d": _busy}
    return [reports[part](runs) for part in sorted(parts)]


def _run(place: Ground) -> Run:
    server.stop()
    module = registry.module(MODULE)
    root = place.fresh("course")  # a course of its own: build/runs of the real one is others' too
    target = paths.solution_file(root, MODULE)
    target.parent.mkdir(parents=True)
    shutil.copyfile(paths.solution_file(ROOT, MODULE), target)
    workspace = place.fresh("workspace")
    began = time.time()
    outcome, executed = run_solution(root, module, 0, workspace, Silent())
    ended = time.time()
    if executed is None:
        raise LabsError(f"Module 1's solution did not run to its end: {outcome.failures[0]}")
    found = server.running()
    if found is None:
        raise LabsError("The solution's server is gone, and with it what Spark was busy with.")
    jobs, executions = busy.of_server(found.ui)
    both = busy.union([*jobs, *executions])
    server.stop()
    return Run(
        wall=ended - began,
        checks=_seconds(executed.cells),
        jobs=busy.length(busy.union(jobs)),
        busy=busy.length(both),
        cells=tuple(_cells(executed.cells, both, (began, ended))),
        failures=tuple(str(failure) for failure in outcome.failures),
    )


def _seconds(cells: Sequence[NotebookNode]) -> dict[str, float]:
    """Each step's `seconds`, from the verdict in its check cell's output."""
    found = {}
    for cell in cells:
        for output in cell.get("outputs", []):
            verdict: dict[str, Any] | None = output.get("data", {}).get(VERDICT_MIME)
            if verdict:
                found[str(verdict["step"])] = float(verdict["seconds"])
    return found


def _cells(cells: Sequence[NotebookNode], both: Sequence[Interval], whole: Interval) -> Iterable[Cell]:
    """The code cells that papermill timed, and what came before, between and after them."""
    module, last, between = registry.module(MODULE), whole[0], 0.0
    first = True
    for index, cell in enumerate(cells):
        times = cell.metadata.get("papermill", {})
        if cell.cell_type != "code" or not times.get("start_time") or not times.get("end_time"):
            continue
        window = (_stamp(times["start_time"]), _stamp(times["end_time"]))
        if first:
            yield Cell("before the first cell: the kernel's start", (last, window[0]), 0.0)
            first = False
        else:
            between += window[0] - last
        role, line = role_of(cell), cell.source.strip().splitlines()[0][:50]
        name = f"{role.kind} {role.step}".strip() or f"{place_of(cells, index, module).heading[:40]}: {line}"
        yield Cell(name, window, busy.within(both, window))
        last = window[1]
    yield Cell("between cells", (0.0, between), 0.0)
    yield Cell("after the last cell: the kernel's end", (last, whole[1]), 0.0)


def _stamp(text: str) -> float:
    """papermill's times are UTC, some without saying so."""
    stamp = datetime.fromisoformat(text)
    return (stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)).timestamp()


def _checks(runs: Sequence[Run]) -> Result:
    every = [seconds for run in runs for seconds in run.checks.values()]
    steps = {step: median(run.checks[step] for run in runs) for step in runs[0].checks}
    figures = [
        Figure("c", "check cells, median", median(every), "s", MEDIAN_TARGET),
        Figure("c", "check cells, 95th percentile", float(np.percentile(every, 95)), "s", TAIL_TARGET),
        *(Figure("c", f"  {step}", seconds, "s") for step, seconds in steps.items()),
    ]
    counted = (
        f"(c) `seconds` of the verdicts of {len(every)} check cells ({len(runs)} run(s) of the solution, seed 0, cold server): from the "
        "call of check() to the verdict, evidence included; the 95th percentile is interpolated."
    )
    return Result(tuple(figures), counted, {"runs": [run.checks for run in runs]})


def _busy(runs: Sequence[Run]) -> Result:
    middle = sorted(runs, key=lambda run: run.wall / run.busy)[len(runs) // 2]
    waiting: dict[str, float] = defaultdict(float)
    for cell in middle.cells:
        waiting[cell.name] += cell.waiting
    setup = sum(cell.seconds for cell in middle.cells if cell.name == "setup")
    largest = sorted(waiting.items(), key=lambda item: -item[1])[:LARGEST]
    figures = [
        Figure(
            "d", "solution's wall time / Spark busy", median(r.wall / r.busy for r in runs), "x", WALL_TARGET
        ),
        Figure("d", "  wall time", middle.wall, "s"),
        Figure("d", "  Spark busy (jobs or SQL executions)", middle.busy, "s"),
        Figure("d", "  Spark busy (jobs alone)", middle.jobs, "s"),
        Figure("d", "  first cell: imports, the server's start", setup, "s"),
        *(Figure("d", f"  Spark idle in {name}", seconds, "s") for name, seconds in largest),
    ]
    counted = (
        "(d) Wall time of the whole run (kernel's start, cold server's start, all cells with their checks, kernel's end) by the union of "
        "the intervals, submission to completion, of all jobs and all SQL executions in the server's REST interface. Planning and "
        "commits inside an execution count as busy; analysing a DataFrame before it runs does not."
    )
    raw = [
        {"wall": r.wall, "busy": r.busy, "jobs": r.jobs,
         "cells": [{"name": c.name, "seconds": c.seconds, "busy": c.busy} for c in r.cells]}
        for r in runs
    ]  # fmt: skip
    return Result(tuple(figures), counted, {"runs": raw})
