"""What happens next in a run, as pure functions over the states of its tasks: no store, no clock, no processes.

Sources: docs.databricks.com, "Configure task dependencies" (run_if, excluded tasks, which result a run has), "Jobs API 2.2".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from labs_lib.workspace.ground.endpoints import Model
from labs_lib.workspace.ground.errors import InvalidParameter

Key = Annotated[str, StringConstraints(pattern=r"^[\w\-]{1,100}$")]
RunIf = Literal[
    "ALL_SUCCESS", "ALL_DONE", "NONE_FAILED", "AT_LEAST_ONE_SUCCESS", "ALL_FAILED", "AT_LEAST_ONE_FAILED"
]


class Life(StrEnum):
    """The life cycle of a run or of a task, by the names of the Jobs API."""

    BLOCKED = "BLOCKED"
    QUEUED = "QUEUED"
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    WAITING_FOR_RETRY = "WAITING_FOR_RETRY"
    TERMINATED = "TERMINATED"
    SKIPPED = "SKIPPED"
    INTERNAL_ERROR = "INTERNAL_ERROR"


class Result(StrEnum):
    """How a run or a task ended."""

    SUCCESS = "SUCCESS"
    SUCCESS_WITH_FAILURES = "SUCCESS_WITH_FAILURES"
    FAILED = "FAILED"
    TIMEDOUT = "TIMEDOUT"
    CANCELED = "CANCELED"
    EXCLUDED = "EXCLUDED"
    UPSTREAM_FAILED = "UPSTREAM_FAILED"
    UPSTREAM_CANCELED = "UPSTREAM_CANCELED"
    SKIPPED_FOR_LIMIT = "MAXIMUM_CONCURRENT_RUNS_REACHED"


FINAL = frozenset({Life.TERMINATED, Life.SKIPPED, Life.INTERNAL_ERROR})
GOOD = frozenset({Result.SUCCESS, Result.SUCCESS_WITH_FAILURES, Result.EXCLUDED})
_NEVER_RAN = frozenset({Result.EXCLUDED, Result.UPSTREAM_FAILED, Result.UPSTREAM_CANCELED})


class Dependency(Model):
    """An edge of the graph; `outcome` where it hangs on a condition task's answer."""

    task_key: Key
    outcome: Literal["true", "false"] | None = None


class Spec(Model):
    """What the rules have to know of a task's settings."""

    task_key: Key
    depends_on: list[Dependency] = []
    run_if: RunIf = "ALL_SUCCESS"
    max_retries: Annotated[int, Field(ge=-1)] = 0  # -1: for ever
    min_retry_interval_millis: Annotated[int, Field(ge=0)] = 0
    retry_on_timeout: bool = False


@dataclass(frozen=True)
class State:
    """Where a task stands: the latest of its attempts."""

    life: Life
    result: Result | None = None
    outcome: str | None = None  # of a condition task


def check_graph(specs: Sequence[Spec]) -> None:
    """Raise InvalidParameter if a key stands twice, a task depends on an unknown one, or on itself in a circle."""
    keys = [spec.task_key for spec in specs]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise InvalidParameter(f"The task key {twice[0]!r} stands twice in the job; each task needs its own.")
    for spec in specs:
        for dependency in spec.depends_on:
            if dependency.task_key not in keys:
                raise InvalidParameter(
                    f"The task {spec.task_key!r} depends on {dependency.task_key!r}, which is no task of the job."
                )
    try:
        _graph(specs).prepare()
    except CycleError as error:
        raise InvalidParameter(
            f"The tasks depend on each other in a circle: {' → '.join(error.args[1])}."
        ) from None


def next_steps(specs: Sequence[Spec], states: Mapping[str, State]) -> dict[str, Result | None]:
    """What is to be done with blocked tasks whose dependencies are all done: None to start one, else the result it is skipped with.

    A skip may free further tasks: ask again until the answer is empty.
    """
    steps: dict[str, Result | None] = {}
    for spec in specs:
        if states[spec.task_key].life is Life.BLOCKED and all(
            states[d.task_key].life in FINAL for d in spec.depends_on
        ):
            steps[spec.task_key] = _verdict(spec, [_seen(d, states[d.task_key]) for d in spec.depends_on])
    return steps


def _seen(dependency: Dependency, state: State) -> Result:
    """A dependency's result as a dependent sees it: the branch of a condition that wasn't taken is excluded."""
    result = state.result or Result.FAILED
    if dependency.outcome and result is Result.SUCCESS and state.outcome != dependency.outcome:
        return Result.EXCLUDED
    return result


def _verdict(spec: Spec, results: Sequence[Result]) -> Result | None:
    if not results:
        return None
    if all(result is Result.EXCLUDED for result in results):
        return Result.EXCLUDED
    bad = [result for result in results if result not in GOOD]
    met = {
        "ALL_SUCCESS": not bad,
        "AT_LEAST_ONE_SUCCESS": len(bad) < len(results),
        "NONE_FAILED": not bad,
        "ALL_DONE": True,
        "AT_LEAST_ONE_FAILED": bool(bad),
        "ALL_FAILED": len(bad) == len(results),
    }[spec.run_if]
    if met:
        return None
    if spec.run_if in ("AT_LEAST_ONE_FAILED", "ALL_FAILED"):
        return Result.EXCLUDED
    cancelled = all(result in (Result.CANCELED, Result.UPSTREAM_CANCELED) for result in bad)
    return Result.UPSTREAM_CANCELED if cancelled else Result.UPSTREAM_FAILED


def run_result(specs: Sequence[Spec], states: Mapping[str, State]) -> Result | None:
    """How a run ends by its leaf tasks; None while a task is not done."""
    if any(states[spec.task_key].life not in FINAL for spec in specs):
        return None
    needed = {d.task_key for spec in specs for d in spec.depends_on}
    results = {spec.task_key: states[spec.task_key].result or Result.FAILED for spec in specs}
    leaves = [results[key] for key in results if key not in needed and results[key] not in GOOD]
    if leaves:
        # A leaf that only suffers from what happened upstream says nothing of the cause.
        causes = {r for r in results.values() if r not in GOOD and r not in _NEVER_RAN}
        return causes.pop() if len(causes) == 1 else Result.FAILED
    return (
        Result.SUCCESS if all(result in GOOD for result in results.values()) else Result.SUCCESS_WITH_FAILURES
    )


def retry_at(spec: Spec, attempt: int, result: Result, end: int) -> int | None:
    """When the next attempt of a task is due that ended so; None if there is none. `attempt` counts from 0; times in ms."""
    if result is not Result.FAILED and not (result is Result.TIMEDOUT and spec.retry_on_timeout):
        return None
    if spec.max_retries != -1 and attempt >= spec.max_retries:
        return None
    return end + spec.min_retry_interval_millis


def on_arrival(active: int, limit: int, queue: bool) -> Life:
    """Whether a run that is asked for begins (PENDING), waits (QUEUED) or is SKIPPED."""
    if active < limit:
        return Life.PENDING
    return Life.QUEUED if queue and limit else Life.SKIPPED


def admitted(queued: Sequence[int], active: int, limit: int) -> Sequence[int]:
    """Which of the queued runs, oldest first, may begin now."""
    return queued[: max(0, limit - active)]


def to_repair(
    specs: Sequence[Spec],
    states: Mapping[str, State],
    tasks: Collection[str],
    all_failed: bool,
    dependents: bool,
) -> set[str]:
    """The tasks that a repair runs anew. Raises InvalidParameter if it asks for none, for both ways at once, or for an unknown task."""
    if tasks and all_failed:
        raise InvalidParameter("A repair takes rerun_tasks or rerun_all_failed_tasks, not both.")
    if unknown := sorted(set(tasks) - states.keys()):
        raise InvalidParameter(f"The run has no task {unknown[0]!r} to repair.")
    chosen = set(tasks)
    if all_failed:
        chosen = {key for key, state in states.items() if state.result not in GOOD}
    if not chosen:
        raise InvalidParameter("There is nothing to repair: no task is named, and none failed.")
    if dependents:
        by_key = {spec.task_key: spec for spec in specs}
        for key in _graph(specs).static_order():
            if any(d.task_key in chosen for d in by_key[key].depends_on):
                chosen.add(key)
    return chosen


def _graph(specs: Sequence[Spec]) -> TopologicalSorter[str]:
    return TopologicalSorter({spec.task_key: [d.task_key for d in spec.depends_on] for spec in specs})


def compare(op: str, left: str, right: str) -> bool:
    """A condition task's answer: EQUAL_TO and NOT_EQUAL compare texts, the others numbers.

    Raises InvalidParameter if a side should be a number and is none.
    """
    if op in ("EQUAL_TO", "NOT_EQUAL"):
        return (left == right) is (op == "EQUAL_TO")
    try:
        a, b = float(left), float(right)
    except ValueError:
        raise InvalidParameter(
            f"The condition {left!r} {op} {right!r} compares numbers, and a side is none."
        ) from None
    return {
        "GREATER_THAN": a > b,
        "GREATER_THAN_OR_EQUAL": a >= b,
        "LESS_THAN": a < b,
        "LESS_THAN_OR_EQUAL": a <= b,
    }[op]
