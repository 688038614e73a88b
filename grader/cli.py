"""The `grader` command for instructors and CI."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from grader.console import Progress, countdown, summary, tell_result, trials
from grader.course import paths
from grader.course.drift import drift
from grader.rehearsal.outcome import Failure
from grader.rehearsal.report import write_report
from grader.rehearsal.run import build_module, write_expected
from grader.rehearsal.side_by_side import check_modules, jobs_that_fit
from grader.sandbox.runner import FLAG
from labs_lib.errors import LabsError

app = typer.Typer(
    help="Build, run and judge the course's notebooks.", no_args_is_help=True, add_completion=False
)

ModuleName = Annotated[
    str | None, typer.Argument(help="One module, such as 01_optimization; all by default.")
]
Root = Annotated[Path | None, typer.Option("--root", help="The course's folder; found from here by default.")]


@app.command()
def check(
    module: ModuleName = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Repeat a run; a fresh random seed by default.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            min=1,
            help="Runs side by side, each with a Spark server of 4 GB; by default what fits here.",
        ),
    ] = None,
    root: Root = None,
) -> None:
    """Run every solution under a fresh seed, replay every committed notebook with its lessons, and report."""
    with _session(root) as (folder, console, progress):
        used = secrets.randbelow(2**31 - 1) + 1 if seed is None else seed
        console.print(f"Seed {used} (repeat with: grader check --seed {used})", highlight=False)
        chosen = paths.chosen(folder, module)
        unwritten = [name for each in chosen for name in each.unwritten]
        for name in unwritten:
            console.print(f"{name} not yet written", style="dim", highlight=False)
        written = [each for each in chosen if each.written]
        outcomes = check_modules(folder, written, used, jobs or jobs_that_fit(), progress)
        progress.status.stop()
        console.print(summary(outcomes, unwritten))
        console.print(
            f"Report: {write_report(folder, outcomes, unwritten, used)}", soft_wrap=True, highlight=False
        )
        _end(console, [failure for outcome in outcomes for failure in outcome.failures])


@app.command()
def build(
    module: ModuleName = None,
    execute: Annotated[bool, typer.Option(help="Run the solution and store its outputs.")] = True,
    root: Root = None,
) -> None:
    """Build the instructor notebooks from solutions/*.py, and the learner notebooks from them."""
    with _session(root) as (folder, console, progress):
        failures: list[Failure] = []
        for each in paths.chosen(folder, module):
            if each.written:
                failures += build_module(folder, each, execute, progress)
                for path in (paths.solution_file(folder, each.name), paths.learner_file(folder, each.name)):
                    console.print(f"Built {path.relative_to(folder)}", highlight=False)
        _end(console, failures)


@app.command()
def grade(
    module: Annotated[str, typer.Argument(help="The module to grade, such as 01_optimization.")],
    student: Annotated[
        list[str] | None, typer.Option("--student", help="Only this one; may be given several times.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Submissions side by side; by default what fits here.")
    ] = None,
    dask: Annotated[
        str | None, typer.Option("--dask", help="Address of a dask scheduler whose workers see this folder.")
    ] = None,
    no_sandbox: Annotated[
        bool, typer.Option(FLAG, help="Run learners' code with all your rights, where there is no sandbox.")
    ] = False,
    root: Root = None,
) -> None:
    """Grade a class: everything in submitted/, into nbgrader's gradebook, with a report. Goes on where it was stopped."""
    # Here, because these bring nbgrader's database and Spark's client along.
    from grader.classroom import batch, class_report, collect
    from grader.sandbox.workbox import WITHOUT_SANDBOX

    if no_sandbox:
        os.environ[WITHOUT_SANDBOX] = "1"
    with _session(root) as (folder, console, progress):
        progress.status.stop()
        chosen = paths.chosen(folder, module)[0]
        submissions, results = collect.collect(folder, chosen, student or [])
        for refused in results:
            tell_result(console, refused)
        console.print(f"Making ready: the solution of {chosen.name} runs once under the grading seed.")
        patience = batch.patience_of(folder)
        batch.make_ready(folder, chosen, patience)
        api = batch.gradebook(folder, chosen)
        by_student = {submission.student: submission for submission in submissions}
        used = jobs or batch.jobs_that_fit()
        with batch.engine(dask, used), countdown(console, len(submissions)) as advance:
            for result in batch.grade_class(folder, chosen, submissions, patience):
                if not result.refused:
                    result = batch.enter(api, folder, chosen, by_student[result.student], result)
                results.append(result)
                tell_result(console, result)
                advance()
        page = class_report.write(folder, chosen, results)
        console.print(f"Report: {page}", soft_wrap=True, highlight=False)


@app.command()
def prove(
    what: Annotated[
        str | None,
        typer.Argument(
            help="A module, an exercise or a suite of tests, such as 02_patterns, 2a or workspace; all by default."
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", help="Draw the three seeds from this one; by default from a random one."),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Exercises side by side.")] = 2,
    boxed: Annotated[bool, typer.Option(help="Send notebooks through sandbox and judge, too.")] = True,
    root: Root = None,
) -> None:
    """Try every wrong and right answer, notebooks in the sandbox, and the long tests; enter what holds into tests/proved.toml."""
    # Here, because these bring Spark's client along.
    from grader.proof import ledger, suites
    from grader.proof import prove as proving
    from grader.proof.boxed import grade_boxed

    with _session(root) as (folder, console, progress):
        progress.status.stop()

        def entered(name: str) -> None:
            console.print(f"Proved: {name}; entered into tests/proved.toml.", highlight=False)

        chosen = proving.chosen(folder, what)
        problems: list[str] = []
        if chosen.exercises:
            used = secrets.randbelow(2**31 - 1) + 1 if seed is None else seed
            console.print(f"Seed {used} (repeat with: grader prove --seed {used})", highlight=False)
            with trials(console, proving.trials_left(folder, chosen.exercises)) as advance:
                proved = proving.side_by_side(
                    folder, chosen.exercises, proving.seeds_from(used), jobs, advance
                )
            problems += [sentence for _, complaints in proved.values() for sentence in complaints]
            for module in chosen.modules if boxed and not problems else []:
                console.print(
                    f"{module.name}: the solution, half of it and nothing, through sandbox and judge",
                    highlight=False,
                )
                problems += grade_boxed(folder, module, used).problems
            if not problems and boxed:
                for exercise in chosen.exercises:
                    proving.enter(folder, exercise, proved[exercise.id][0])
                    entered(exercise.id)
        for suite in chosen.suites:
            console.print(f"tests/{suite}: its tests that stand in the ledger", highlight=False)
            if passed := suites.prove(folder, suite):
                ledger.enter(folder, f"{ledger.SUITE}{suite}", passed)
                entered(f"tests/{suite}")
            else:
                problems.append(
                    f"tests/{suite} failed, or changed while it ran; what pytest said stands above."
                )
        if not boxed and chosen.exercises:
            console.print("Without the sandbox nothing is entered for an exercise.", style="yellow")
        for sentence in problems:
            console.print(Text(sentence, style="red"), soft_wrap=True)
        if problems:
            raise typer.Exit(1)


@app.command(name="drift")
def drift_command(root: Root = None) -> None:
    """Compare the committed notebooks with a fresh build; changes nothing."""
    with _session(root) as (folder, console, progress):
        progress.status.update("Building afresh and comparing")
        sentences = drift(folder)
        for sentence in sentences:
            console.print(Text(sentence, style="red"), soft_wrap=True)
        if sentences:
            raise typer.Exit(1)
        console.print("No drift: the committed notebooks are what their sources build.")


@app.command()
def expected(module: ModuleName = None, root: Root = None) -> None:
    """Run the solutions with seed 0 and store their answers' digests in datasets/expected/."""
    with _session(root) as (folder, console, progress):
        for each in paths.chosen(folder, module):
            if each.written:
                path = write_expected(folder, each, progress)
                console.print(f"Wrote {path.relative_to(folder)}", highlight=False)


@contextlib.contextmanager
def _session(root: Path | None) -> Iterator[tuple[Path, Console, Progress]]:
    """Give a command its folder and console; turn a LabsError or Ctrl-C into a line and an exit code."""
    console = Console()
    try:
        folder = root.resolve() if root else paths.find_root()
        with console.status("Starting") as status:
            yield folder, console, Progress(console, status)
    except LabsError as error:
        console.print(Text(str(error), style="bold red"), soft_wrap=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        console.print(Text("Interrupted; kernels are stopped and nothing was stored.", style="red"))
        raise typer.Exit(130) from None


def _end(console: Console, failures: list[Failure]) -> None:
    """Close with one red line for the first failure, which is the one to look at, and exit code 1."""
    if failures:
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        console.print(Text(f"FAILED {failures[0]}{more}", style="bold red"), soft_wrap=True)
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
