"""What happens next in a run: tables from the published rules, and properties over random graphs."""

from __future__ import annotations

import random
from typing import Any

import pytest

from labs_lib.workspace.ground.errors import InvalidParameter
from labs_lib.workspace.jobs import rules
from labs_lib.workspace.jobs.rules import FINAL, GOOD, Dependency, Life, Result, Spec, State

GOOD_ONE, FAILED, EXCLUDED, CANCELED = Result.SUCCESS, Result.FAILED, Result.EXCLUDED, Result.CANCELED


def on(key: str, outcome: Any = None) -> Dependency:
    return Dependency(task_key=key, outcome=outcome)


def spec_of(key: str, after: tuple[Dependency, ...] = (), run_if: Any = "ALL_SUCCESS", **more: Any) -> Spec:
    return Spec(task_key=key, depends_on=list(after), run_if=run_if, **more)


def after(results: tuple[Result, ...], run_if: str) -> Result | None:
    """What becomes of a task with that run_if after dependencies with those results; None if it starts."""
    keys = [f"t{n}" for n in range(len(results))]
    last = spec_of("last", tuple(map(on, keys)), run_if)
    states = {key: State(Life.TERMINATED, result) for key, result in zip(keys, results, strict=True)}
    steps = rules.next_steps([*map(spec_of, keys), last], states | {"last": State(Life.BLOCKED)})
    assert steps.keys() == {"last"}
    return steps["last"]


@pytest.mark.parametrize(
    ("run_if", "results", "expected"),
    [
        ("ALL_SUCCESS", (GOOD_ONE, GOOD_ONE), None),
        ("ALL_SUCCESS", (GOOD_ONE, FAILED), Result.UPSTREAM_FAILED),
        ("ALL_SUCCESS", (GOOD_ONE, EXCLUDED), None),  # excluded tasks are treated as successful
        ("ALL_SUCCESS", (GOOD_ONE, CANCELED), Result.UPSTREAM_CANCELED),
        ("ALL_SUCCESS", (FAILED, CANCELED), Result.UPSTREAM_FAILED),
        ("ALL_SUCCESS", (Result.UPSTREAM_CANCELED,), Result.UPSTREAM_CANCELED),
        ("ALL_SUCCESS", (Result.UPSTREAM_FAILED,), Result.UPSTREAM_FAILED),
        ("ALL_SUCCESS", (Result.TIMEDOUT,), Result.UPSTREAM_FAILED),
        ("AT_LEAST_ONE_SUCCESS", (GOOD_ONE, FAILED), None),
        ("AT_LEAST_ONE_SUCCESS", (FAILED, FAILED), Result.UPSTREAM_FAILED),
        ("NONE_FAILED", (GOOD_ONE, EXCLUDED), None),
        ("NONE_FAILED", (GOOD_ONE, FAILED), Result.UPSTREAM_FAILED),
        ("ALL_DONE", (FAILED, FAILED), None),
        ("ALL_DONE", (CANCELED,), None),
        ("AT_LEAST_ONE_FAILED", (GOOD_ONE, FAILED), None),
        ("AT_LEAST_ONE_FAILED", (GOOD_ONE, CANCELED), None),  # a clean-up runs after a cancel too
        ("AT_LEAST_ONE_FAILED", (GOOD_ONE, GOOD_ONE), EXCLUDED),
        ("ALL_FAILED", (FAILED, FAILED), None),
        ("ALL_FAILED", (GOOD_ONE, FAILED), EXCLUDED),
        # Where all dependencies are excluded, so is the task, whatever its run_if.
        ("ALL_DONE", (EXCLUDED, EXCLUDED), EXCLUDED),
        ("ALL_SUCCESS", (EXCLUDED,), EXCLUDED),
    ],
)
def test_run_if(run_if: str, results: tuple[Result, ...], expected: Result | None) -> None:
    assert after(results, run_if) is expected


def test_the_branch_of_a_condition_that_was_not_taken_is_excluded() -> None:
    specs = [
        spec_of("if"),
        spec_of("yes", (on("if", "true"),)),
        spec_of("no", (on("if", "false"),)),
        spec_of("both", (on("yes"), on("no"))),
    ]
    blocked = State(Life.BLOCKED)
    states = {"yes": blocked, "no": blocked, "both": blocked, "if": State(Life.TERMINATED, GOOD_ONE, "true")}
    assert rules.next_steps(specs, states) == {"yes": None, "no": EXCLUDED}
    states |= {"yes": State(Life.TERMINATED, GOOD_ONE), "no": State(Life.SKIPPED, EXCLUDED)}
    assert rules.next_steps(specs, states) == {"both": None}


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (GOOD_ONE, GOOD_ONE, Result.SUCCESS),
        (FAILED, GOOD_ONE, Result.SUCCESS_WITH_FAILURES),
        (GOOD_ONE, FAILED, Result.FAILED),
        (FAILED, Result.UPSTREAM_FAILED, Result.FAILED),
        (GOOD_ONE, EXCLUDED, Result.SUCCESS),
        (Result.TIMEDOUT, Result.UPSTREAM_FAILED, Result.TIMEDOUT),
        (CANCELED, Result.UPSTREAM_CANCELED, Result.CANCELED),
        (FAILED, CANCELED, Result.FAILED),
    ],
)
def test_a_runs_result_is_its_leaves(a: Result, b: Result, expected: Result) -> None:
    specs = [spec_of("a"), spec_of("b", (on("a"),))]
    assert (
        rules.run_result(specs, {"a": State(Life.TERMINATED, a), "b": State(Life.TERMINATED, b)}) is expected
    )


def test_a_run_has_no_result_while_a_task_is_not_done() -> None:
    for life in set(Life) - FINAL:
        states = {"a": State(Life.TERMINATED, GOOD_ONE), "b": State(life)}
        assert rules.run_result([spec_of("a"), spec_of("b")], states) is None


@pytest.mark.parametrize(
    ("spec", "attempt", "result", "expected"),
    [
        (spec_of("a"), 0, FAILED, None),
        (spec_of("a", max_retries=2, min_retry_interval_millis=500), 0, FAILED, 1500),
        (spec_of("a", max_retries=2, min_retry_interval_millis=500), 1, FAILED, 1500),
        (spec_of("a", max_retries=2, min_retry_interval_millis=500), 2, FAILED, None),
        (spec_of("a", max_retries=-1), 900, FAILED, 1000),
        (spec_of("a", max_retries=2), 0, Result.TIMEDOUT, None),
        (spec_of("a", max_retries=2, retry_on_timeout=True), 0, Result.TIMEDOUT, 1000),
        (spec_of("a", max_retries=2), 0, CANCELED, None),
        (spec_of("a", max_retries=2), 0, GOOD_ONE, None),
    ],
)
def test_retries(spec: Spec, attempt: int, result: Result, expected: int | None) -> None:
    assert rules.retry_at(spec, attempt, result, 1000) == expected


@pytest.mark.parametrize(
    ("active", "limit", "queue", "expected"),
    [
        (0, 1, False, Life.PENDING),
        (1, 1, False, Life.SKIPPED),
        (1, 1, True, Life.QUEUED),
        (1, 2, True, Life.PENDING),
        (0, 0, True, Life.SKIPPED),
    ],
)
def test_arrival(active: int, limit: int, queue: bool, expected: Life) -> None:
    assert rules.on_arrival(active, limit, queue) is expected


def test_admission_is_oldest_first_and_never_over_the_limit() -> None:
    assert rules.admitted([3, 4, 5], active=1, limit=3) == [3, 4]
    assert rules.admitted([3, 4, 5], active=5, limit=3) == []


@pytest.mark.parametrize(
    "specs",
    [
        [spec_of("a"), spec_of("a")],
        [spec_of("a", (on("b"),))],
        [spec_of("a", (on("a"),))],
        [spec_of("a", (on("b"),)), spec_of("b", (on("a"),))],
    ],
)
def test_graphs_that_are_none(specs: list[Spec]) -> None:
    with pytest.raises(InvalidParameter):
        rules.check_graph(specs)


def test_what_a_repair_runs() -> None:
    specs = [spec_of("a"), spec_of("b", (on("a"),)), spec_of("c", (on("b"),)), spec_of("d")]
    done = State(Life.TERMINATED, GOOD_ONE)
    states = {
        "a": done,
        "b": State(Life.TERMINATED, FAILED),
        "c": State(Life.SKIPPED, Result.UPSTREAM_FAILED),
        "d": done,
    }
    assert rules.to_repair(specs, states, [], True, False) == {"b", "c"}
    assert rules.to_repair(specs, states, ["a"], False, False) == {"a"}
    assert rules.to_repair(specs, states, ["a"], False, True) == {"a", "b", "c"}
    for wrong in (([], False), (["x"], False), (["a"], True)):
        with pytest.raises(InvalidParameter):
            rules.to_repair(specs, states, *wrong, False)


@pytest.mark.parametrize(
    ("op", "left", "right", "expected"),
    [
        ("EQUAL_TO", "12.0", "12", False),  # texts
        ("NOT_EQUAL", "a", "b", True),
        ("GREATER_THAN_OR_EQUAL", "12.0", "12", True),  # numbers
        ("GREATER_THAN", "9", "10", False),
        ("LESS_THAN", "9", "10", True),
        ("LESS_THAN_OR_EQUAL", "11", "10", False),
    ],
)
def test_conditions(op: str, left: str, right: str, expected: bool) -> None:
    assert rules.compare(op, left, right) is expected


@pytest.mark.parametrize("seed", range(40))
def test_every_graph_comes_to_an_end_and_starts_each_task_once_at_most(seed: int) -> None:
    """Random graphs with random endings, retries and moments of cancelling."""
    draw = random.Random(seed)
    keys = [f"t{n}" for n in range(draw.randint(1, 12))]
    kinds = ["ALL_SUCCESS"] * 3 + [
        "AT_LEAST_ONE_SUCCESS",
        "NONE_FAILED",
        "ALL_DONE",
        "AT_LEAST_ONE_FAILED",
        "ALL_FAILED",
    ]
    specs = [
        spec_of(
            key,
            tuple(
                on(k, draw.choice([None, None, "true"]))
                for k in draw.sample(keys[:n], draw.randint(0, min(n, 3)))
            ),
            draw.choice(kinds),
            max_retries=draw.randint(0, 2),
        )
        for n, key in enumerate(keys)
    ]
    draw.shuffle(specs)
    rules.check_graph(specs)
    states = {key: State(Life.BLOCKED) for key in keys}
    attempts = dict.fromkeys(keys, 0)
    started: set[str] = set()
    for _ in range(200):
        while steps := rules.next_steps(specs, states):
            for key, result in steps.items():
                assert key not in started and states[key].life is Life.BLOCKED
                by_key = next(spec for spec in specs if spec.task_key == key)
                assert all(states[d.task_key].life in FINAL for d in by_key.depends_on)
                if result is None:
                    started.add(key)
                states[key] = State(Life.RUNNING) if result is None else State(Life.SKIPPED, result)
        running = [key for key, state in states.items() if state.life is Life.RUNNING]
        if not running:
            break
        key = draw.choice(running)
        result = draw.choice([GOOD_ONE, GOOD_ONE, FAILED, CANCELED, Result.TIMEDOUT])
        spec = next(spec for spec in specs if spec.task_key == key)
        if rules.retry_at(spec, attempts[key], result, 0) is not None:
            attempts[key] += 1
            assert attempts[key] <= spec.max_retries
        else:
            states[key] = State(Life.TERMINATED, result, draw.choice(["true", "false"]))
    outcome = rules.run_result(specs, states)
    assert outcome is not None, states
    if outcome is Result.SUCCESS:
        assert all(state.result in GOOD for state in states.values())
    if all(state.result in GOOD for state in states.values()):
        assert outcome is Result.SUCCESS
