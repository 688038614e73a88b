"""`grader build` and `grader expected`, and one run of `grader check`: the runs of whole modules."""

from __future__ import annotations

import json
from pathlib import Path

from grader.course import build, paths
from grader.course.notebook import Place
from grader.rehearsal.execute import collect_digests, fresh_workspace, run_solution
from grader.rehearsal.outcome import Failure, Listener, Outcome, Stage
from grader.rehearsal.replay import replay
from labs_lib import registry
from labs_lib.errors import LabsError
from labs_lib.registry import Module


def rehearse(root: Path, module: Module, stage: Stage, seed: int, listener: Listener) -> Outcome:
    """Run a module's solution under `seed`, or replay the committed notebook with its own, in a new workspace.

    Lessons run in the replay alone; under fresh seeds a test runs them, with the learner's notebook.
    """
    try:
        with fresh_workspace() as workspace:
            if stage == "fresh seed":
                return run_solution(root, module, seed, workspace, listener, demos=False)[0]
            return replay(root, module, workspace, listener)
    except LabsError as error:
        return stopped(module, stage, seed, str(error), listener)


def stopped(module: Module, stage: Stage, seed: int, sentence: str, listener: Listener) -> Outcome:
    """The outcome of a run that came to no step, and why."""
    first = next(iter(registry.steps(module)))
    failure = Failure(Place(module.name, first.id, first.title), sentence)
    listener.failure(failure)
    return Outcome(module.name, stage, seed if stage == "fresh seed" else None, 0.0, (), (failure,))


def build_module(root: Path, module: Module, execute: bool, listener: Listener) -> list[Failure]:
    """Build a module's instructor notebook, run it with its own seed if `execute`, generate the learner's.

    Returns the failures of the run; when there are any, the stored outputs stay as they were.
    """
    build.write_solution(root, module)
    failures: list[Failure] = []
    if execute:
        with fresh_workspace() as workspace:
            outcome, executed = run_solution(root, module, None, workspace, listener)
            failures = list(outcome.failures)
            if executed is not None and not failures:
                build.store_outputs(root, module, executed, workspace)
    build.generate(root, module.name)
    return failures


def write_expected(root: Path, module: Module, listener: Listener) -> Path:
    """Run a module's solution with seed 0 and store the digests of its answers; return the file's path.

    Steps may fail on the way, as they do where stored digests are out of date; the run must reach its end.
    Raises LabsError if it does not, or if a compared answer left no digest.
    """
    with fresh_workspace() as workspace:
        outcome, executed = run_solution(root, module, 0, workspace, listener)
        if executed is None:
            raise LabsError(f"No digests were written, as the run stopped: {outcome.failures[0]}")
        digests = collect_digests(module, workspace)
    path = paths.expected_file(root, module.name)
    build.replace(path, json.dumps(digests, indent=2, sort_keys=True) + "\n")
    return path
