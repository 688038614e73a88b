"""What a run prints while it goes on: a line per step, a status line on a terminal, red for what fails."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import rich.progress
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.status import Status
from rich.table import Table
from rich.text import Text

from grader.classroom.class_report import Result
from grader.course.notebook import Place
from grader.proof.trial import Trial
from grader.rehearsal.outcome import Failure, Outcome, StepRun


class Progress:
    """Prints a run as it happens; the status line appears on a terminal only."""

    def __init__(self, console: Console, status: Status) -> None:
        self.console, self.status = console, status

    def cell(self, place: Place) -> None:
        """Show where the run is."""
        self.status.update(f"{place}".replace("[", r"\["))

    def step(self, run: StepRun) -> None:
        """Print a finished step's line."""
        name = f"{run.module} {run.step} {run.title}"
        line = f"{name:<72} {run.points:g}/{run.max_points:g} {run.status:<7} {run.seconds:6.1f} s"
        self.console.print(Text(line, style="" if run.ok else "red"), soft_wrap=True)

    def failure(self, failure: Failure) -> None:
        """Print a failure at once: the run may go on for minutes."""
        self.console.print(Text(f"  {failure.place}: {failure.sentence}", style="red"), soft_wrap=True)


def tell_result(console: Console, result: Result) -> None:
    """Print a learner's line: points, or why there are none, and what is odd."""
    points = sum(verdict.points for verdict in result.verdicts)
    full = sum(verdict.max_points for verdict in result.verdicts)
    line = (
        f"{result.called:<24} {points:g}/{full:g} {result.seconds:8.1f} s"
        if result.verdicts
        else f"{result.called:<24}"
    )
    console.print(Text(line), soft_wrap=True)
    for sentence in (*([result.refused] if result.refused else []), *result.notes):
        console.print(Text(f"  {sentence}", style="red" if result.refused else "yellow"), soft_wrap=True)


@contextlib.contextmanager
def countdown(console: Console, total: int, what: str = "Grading") -> Iterator[Callable[[], None]]:
    """A bar with an estimate of the time that is left; call what it gives after each of so many."""
    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with rich.progress.Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)


@contextlib.contextmanager
def trials(console: Console, total: int) -> Iterator[Callable[[Trial], None]]:
    """A bar over the trials of a proof, and a line for each; call what it gives after each trial."""
    with countdown(console, total, "Proving") as advance:

        def tell(trial: Trial) -> None:
            line = f"{trial.exercise} {trial.answer:<64.64} {trial.seconds:6.1f} s"
            console.print(
                Text(
                    line if trial.complaint is None else f"{line}\n  {trial.complaint}",
                    "red" if trial.complaint else "",
                ),
                soft_wrap=True,
            )
            advance()

        yield tell


def summary(outcomes: list[Outcome], unwritten: list[str]) -> Table:
    """Return the closing table: one row per module and stage."""
    table = Table("Module", "Stage", "Steps", "Points", "Seconds", "Result", title="grader check")
    for outcome in outcomes:
        good = sum(step.ok for step in outcome.steps)
        points = sum(step.points for step in outcome.steps)
        full = sum(step.max_points for step in outcome.steps)
        stage = outcome.stage if outcome.seed is None else f"{outcome.stage} {outcome.seed}"
        table.add_row(
            outcome.module,
            stage,
            f"{good}/{len(outcome.steps)}",
            f"{points:g}/{full:g}",
            f"{outcome.seconds:.1f}",
            Text("pass", "green") if outcome.ok else Text("FAIL", "bold red"),
        )
    for name in unwritten:
        table.add_row(name, "not yet written", "", "", "", "")
    return table
