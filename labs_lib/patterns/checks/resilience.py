"""Steps 2b.3 and 2b.4, a circuit breaker and an idempotent write: what a right answer is."""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from datasets.tables import STORE_REGIONS
from datasets.variation import generator
from labs_lib.checking.evidence import Evidence
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding
from labs_lib.driving.driver import Answer, Child, Lost
from labs_lib.measuring import delta_log
from labs_lib.measuring.delta_log import TableFacts
from labs_lib.patterns.checks.states import stray
from labs_lib.patterns.circuit import CircuitOpen
from labs_lib.patterns.deliveries import LOG, TOTALS
from labs_lib.patterns.feeds.deliveries import BATCHES, COLUMNS, batches
from labs_lib.patterns.flaky_service import DROPPED, OUTAGES, FlakyService, ManualClock, Outage

Script = dict[str, Any]
Row = dict[str, Any]

UNKNOWN_STORE = 0
SECOND = 1.0  # between two calls of a script
AROUND = 0.25  # seconds before and after a call during which the service is as the script says
OVERLAP = 3.0  # seconds for a call beside another one, which should be refused or answered at once
WAITING = "waiting for the first"
DROPPED_TEXT = "Remote end closed connection without response"  # http.client's words

# What each script shows, in order: name, what is expected, where to look.
BREAKER_FINDINGS = (
    (
        "opening",
        "closed until so many calls in a row have failed, the errors passed on; then open",
        "A success begins the count anew: it is failures in a row that open the breaker.",
    ),
    (
        "while it is open",
        "CircuitOpen until the cooldown has passed, and no call that reaches the service",
        "Compare the clock with the moment of opening before you call the function.",
    ),
    (
        "a probe that succeeds",
        "one call after the cooldown, during which the state is half-open; then closed, with the count at nothing",
        "After a recovery it takes the full number of failures to open again.",
    ),
    (
        "a probe that fails",
        "open again at once, for a whole cooldown from then on",
        "The failed probe is a new moment of opening.",
    ),
    (
        "two calls at once",
        "a closed breaker lets both through; a half-open one makes its probe and refuses the other at once",
        "Hold a lock while you look at the state and change it, and never while the function runs.",
    ),
    (
        "errors that are no failures",
        "passed on, and counted as a success: the service did answer",
        "Only an OSError says that the service is down. A LookupError is an answer.",
    ),
)


def observe_2b_3(observer: Observer) -> dict[str, Any]:
    """A breaker of the learner's class led through each script, what a right one does there, and each script in words."""
    scripts = _scripts(observer.lab.seed)
    return {
        "led": [_led(observer, script) for script in scripts],
        "right": [_right(script) for script in scripts],
        "told": [_told(script) for script in scripts],
    }


def judge_2b_3(evidence: Evidence) -> Iterator[Finding]:
    """A finding for each script: all its calls as a right breaker makes them."""
    observed = evidence.observed
    for number, (name, expected, look) in enumerate(BREAKER_FINDINGS):
        found = _departure(*(observed[part][number] for part in ("led", "right", "told")))
        yield Finding(name, found is None, expected, found or "that", look)


def observe_2b_4(observer: Observer) -> dict[str, Any]:
    """Both tables against the feed, and what their histories say of how they came to be."""
    feed = pa.concat_tables(batches(observer.lab.seed).values())
    wanted = Counter(_lines(feed))
    found = Counter(_lines(_some(delta_log.content(observer.path(LOG)), COLUMNS)))
    wanted_totals = _totals(feed)
    rows = _some(delta_log.content(observer.path(TOTALS)), ("store_id", "lines", "sales")).to_pylist()
    totals = {row["store_id"]: (row["lines"], _cents(row["sales"])) for row in rows}
    off = {
        store
        for store in wanted_totals.keys() | totals.keys()
        if totals.get(store) != wanted_totals.get(store)
    }
    log_facts, totals_facts = observer.facts(LOG), observer.facts(TOTALS)
    parts = [Counter(_lines(batch)) for batch in batches(observer.lab.seed).values()]
    sums = [_totals(batch) for batch in batches(observer.lab.seed).values()]
    return {
        "lines": sum(wanted.values()),
        "missing": sum((wanted - found).values()),
        "repeated": sum(count - 1 for line, count in found.items() if line in wanted and count > 1),
        "foreign": sum(count for line, count in found.items() if line not in wanted),
        "stores": len(wanted_totals),
        "stores_off": len(off),
        "stores_twice": len(rows) - len(totals),
        "lines_in_totals": sum(row["lines"] or 0 for row in rows),
        "played": {LOG: _was_closed(log_facts), TOTALS: _was_closed(totals_facts)},
        "inserted": sum(_changed(commit)["inserted"] for commit in log_facts.history),
        "rewritten": sum(_changed(commit)["rewritten"] for commit in log_facts.history),
        "changes": {LOG: _changes(log_facts), TOTALS: _changes(totals_facts)},
        "stray": {
            LOG: stray(observer.states(LOG), functools.partial(_holds_whole_batches, parts)),
            TOTALS: stray(observer.states(TOTALS), functools.partial(_holds_sums_of_batches, sums)),
        },
    }


def judge_2b_4(evidence: Evidence) -> Iterator[Finding]:
    """Each line once, totals of each line once, after deliveries that really were made, of which the repeated ones changed nothing."""
    observed = evidence.observed
    faults = [
        f"{observed[name]:,} {words}"
        for name, words in (
            ("missing", "missing"),
            ("repeated", "too many"),
            ("foreign", "that are not in any batch"),
        )
        if observed[name]
    ]
    yield Finding(
        f"the lines in `{LOG}`",
        not faults,
        "each line of the four batches, once",
        f"{observed['lines']:,} lines, each once" if not faults else f"lines: {', '.join(faults)}",
        "Lines too many: a batch was appended again. Lines missing: a write was skipped as if it had been made.",
        weight=2,
    )
    right = not observed["stores_off"] and not observed["stores_twice"]
    more = observed["lines_in_totals"] - observed["lines"]
    yield Finding(
        f"the sums in `{TOTALS}`",
        right,
        "one row per store, with the number and the value of its lines in all four batches",
        "those"
        if right
        else f"{observed['stores_off']} of {observed['stores']} stores are off"
        + (f"; the totals count {abs(more):,} lines too {'many' if more > 0 else 'few'}" if more else ""),
        "Follow batch 2: its first delivery reached one table and not the other, and batch 3 came before it was delivered again.",
        weight=2,
    )
    written = all(observed["changes"].values())
    played = all(observed["played"].values()) and written
    yield Finding(
        "the deliveries",
        played,
        "both tables as `play_deliveries` lays them, refuses a batch in each, and lets it in later",
        "made"
        if played
        else "the history of a table does not show them"
        if written
        else "nothing was written",
        "Run `play_deliveries(lab, write_batch)` as the last line, and leave both tables as it lays them.",
    )
    once = observed["inserted"] == observed["lines"] and not observed["rewritten"]
    halves = [f"`{name}`: {said}" for name, said in observed["stray"].items() if said]
    few = observed["changes"][TOTALS] <= BATCHES
    yield Finding(
        "what a repeated delivery changes",
        written and once and few and not halves,
        f"nothing: by their histories, each line was inserted into `{LOG}` once and none rewritten, "
        f"`{TOTALS}` changed at most once per batch",
        "nothing"
        if written and once and few and not halves
        else "nothing was written"
        if not written
        else "; ".join(halves)
        if once and few
        else f"{observed['inserted']:,} lines inserted and {observed['rewritten']:,} rewritten for {observed['lines']:,}"
        if not once
        else f"`{TOTALS}` changed {observed['changes'][TOTALS]} times for {BATCHES} batches",
        "DESCRIBE HISTORY shows each commit with its numbers. A MERGE that updates what it finds writes files even if no value changes.",
    )


# The scripts of 2b.3


def _scripts(seed: int) -> list[Script]:
    """One script per finding. Numbers of failures, cooldowns, kinds of outage and stores come from the seed."""
    draw = generator(seed, "circuit breaker")
    return [_script(draw, kind) for kind in range(len(BREAKER_FINDINGS))]


def _script(draw: np.random.Generator, kind: int) -> Script:
    failures, cooldown = int(draw.integers(2, 6)), float(draw.integers(20, 61))
    down, nearly = [(SECOND, "down", False)] * failures, [(SECOND, "down", False)] * (failures - 1)
    up, unknown = (SECOND, "up", False), (SECOND, "unknown", False)
    later = cooldown + SECOND
    events = (
        [*nearly, up, *nearly, up, *down],
        [*down, up, up, (cooldown - 4 * SECOND, "up", False), up],
        [*down, (later, "up", False), *nearly, up, *nearly, up],
        [
            *down,
            (later, "down", False),
            up,
            (cooldown - 3 * SECOND, "up", False),
            (3 * SECOND, "up", False),
            up,
        ],
        [(SECOND, "up", True), *down, (later, "up", True), up],
        [*[unknown] * failures, unknown, *nearly, unknown, *nearly, up, *down, (later, "unknown", False), up],
    )[kind]
    stores = {
        int(store): str(draw.choice(STORE_REGIONS))
        for store in draw.choice(np.arange(100, 900), 4, replace=False)
    }
    calls, outages, at = [], [], 0.0
    for gap, service, beside in events:
        at += gap
        store = UNKNOWN_STORE if service == "unknown" else int(draw.choice(list(stores)))
        calls.append([at, store, beside])
        if service == "down":
            outages.append([at - AROUND, at + AROUND, str(draw.choice(OUTAGES))])
    return {
        "failures": failures,
        "cooldown": cooldown,
        "start": float(draw.integers(1_000, 100_000)),
        "stores": [[store, region] for store, region in stores.items()],
        "outages": outages,
        "calls": calls,
    }


def _led(observer: Observer, script: Script) -> Row:
    """What a breaker of the learner's class does in a script, in a child of its own; clock and service are on this side.

    `calls` has for each call its `outcome`, the `state` after it, the state `during` it, the outcome of an `other` call made from
    another thread during it, and how many calls `reached` the service, by the service's own record. `ended` says why there are no
    more of them, if there should be.
    """
    rows: list[Row] = []
    start = script["start"]
    clock = ManualClock(start)
    outages = [Outage(start + begin, start + end, answer) for begin, end, answer in script["outages"]]
    regions = {store: region for store, region in script["stores"]}
    with FlakyService(regions, outages, clock) as service, observer.child("CircuitBreaker") as breaker:
        try:
            problem = breaker.make(
                failures=script["failures"], cooldown=script["cooldown"], clock=clock
            ).error
            if problem:
                return {"calls": rows, "ended": f"making one ended with {problem}"}
            for at, store, beside in script["calls"]:
                clock.advance(start + at - clock.now)
                rows.append(_call(breaker, service, store, beside))
        except Lost as lost:
            return {"calls": rows, "ended": f"the breaker {lost}"}
    return {"calls": rows, "ended": ""}


def _call(breaker: Child, service: FlakyService, store: int, beside: bool) -> Row:
    before = len(service.calls)
    row: Row = {"during": None, "other": None}
    others: list[str] = []

    def lookup(store_id: int) -> str:
        row["during"] = _state(breaker)
        if beside and not others:
            others.append(breaker.begin("call", service.region_of, store_id))
            row["other"] = _outcome(breaker.wait(others[0], OVERLAP))
        return service.region_of(store_id)

    row["outcome"] = _outcome(breaker.call("call", lookup, store))
    if row["other"] == WAITING:
        breaker.wait(others[0], OVERLAP)
    return {**row, "state": _state(breaker), "reached": len(service.calls) - before}


def _outcome(answer: Answer | None) -> str:
    """What a call came to, or that it had to wait."""
    if answer is None:
        return WAITING
    if not answer.kinds:
        return _returned(answer.value)
    if CircuitOpen.__name__ in answer.kinds:  # a subclass is one too
        return CircuitOpen.__name__
    return _raised(answer.kinds[0], answer.text)


def _state(breaker: Child) -> str:
    answer = breaker.get("state")
    return answer.error or str(answer.value)


def _returned(value: object) -> str:
    return f"the value {value!r}"


def _raised(kind: str, text: str) -> str:
    return f"{kind}: {text}"


def _right(script: Script) -> list[Row]:
    """The calls of `_led` for a right breaker."""
    regions = {store: region for store, region in script["stores"]}
    state, failed, opened = "closed", 0, 0.0
    rows: list[Row] = []
    for at, store, beside in script["calls"]:
        if state == "open" and at - opened < script["cooldown"]:
            rows.append(_row(CircuitOpen.__name__, None, None, state, 0))
            continue
        during = "closed" if state == "closed" else "half-open"
        answer, failure = _answer(script["outages"], regions, at, store)
        if failure:
            failed += 1
            if state == "open" or failed >= script["failures"]:
                state, opened = "open", at
        else:
            state, failed = "closed", 0
        # Scripts make a second call only while the service is up.
        passes = beside and during == "closed"
        other = (answer if passes else CircuitOpen.__name__) if beside else None
        rows.append(_row(answer, during, other, state, 2 if passes else 1))
    return rows


def _answer(
    outages: Sequence[Sequence[Any]], regions: Mapping[int, str], at: float, store: int
) -> tuple[str, bool]:
    """The outcome of a call that reaches the service, as `region_of` gives it, and whether it is a failure."""
    for start, end, answer in outages:
        if start <= at < end:
            kind = "ConnectionResetError" if answer == DROPPED else "OSError"
            return _raised(
                kind, DROPPED_TEXT if answer == DROPPED else f"the service answered {answer}"
            ), True
    if store in regions:
        return _returned(regions[store]), False
    return _raised(LookupError.__name__, f"the service knows no store {store!r}"), False


def _row(outcome: str, during: str | None, other: str | None, state: str, reached: int) -> Row:
    return {"outcome": outcome, "during": during, "other": other, "state": state, "reached": reached}


def _told(script: Script) -> dict[str, Any]:
    """A script for a reader: the numbers it was made with, and for each call how long after the one before and what the service was."""
    down = [(start, end) for start, end, _ in script["outages"]]
    known = {store for store, _ in script["stores"]}
    calls, before = [], 0.0
    for at, store, _ in script["calls"]:
        word = (
            "down"
            if any(start <= at < end for start, end in down)
            else "up"
            if store in known
            else "up (unknown store)"
        )
        calls.append(word if at - before == SECOND else f"after {at - before:g} s {word}")
        before = at
    return {"made": f"failures={script['failures']}, cooldown={script['cooldown']:g}", "calls": calls}


def _departure(output: Mapping[str, Any], wanted: Sequence[Row], told: Mapping[str, Any]) -> str | None:
    """What a breaker did otherwise in a script, at the first call where it did; None if nothing."""
    calls = output["calls"]
    for number, right in enumerate(wanted):
        story = f"with {told['made']} and a service that was {', '.join(told['calls'][: number + 1])}, the last call"
        if number >= len(calls):
            return f"{story} did not come to an end: {_words(output['ended'])}"
        call = calls[number]
        for key, words in (
            ("outcome", "ended with"),
            ("during", "ran in the state"),
            ("other", "had another beside it, which ended with"),
            ("reached", "reached the service so many times:"),
            ("state", "left the state"),
        ):
            if call.get(key) != right[key]:
                return f"{story} {words} {_words(call.get(key))}"
    return None


def _words(value: object) -> str:
    return "nothing, for the function did not run" if value is None else str(value)[:160]


# The tables of 2b.4


def _some(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    lacking = [name for name in columns if name not in table.column_names]
    if lacking:
        raise ValueError(f"the column {lacking[0]} is missing")
    return table.select(list(columns))


def _lines(table: pa.Table) -> list[tuple[Any, ...]]:
    rows = table.select(list(COLUMNS)).to_pydict()
    rows["sales_value"] = [_cents(value) for value in rows["sales_value"]]
    return list(zip(*(rows[name] for name in COLUMNS), strict=True))


def _totals(feed: pa.Table) -> dict[int, tuple[int, int | None]]:
    sums = feed.group_by("store_id").aggregate([("line_id", "count"), ("sales_value", "sum")]).to_pylist()
    return {row["store_id"]: (row["line_id_count"], _cents(row["sales_value_sum"])) for row in sums}


def _holds_whole_batches(batches: Sequence[Counter[tuple[Any, ...]]], log: pa.Table) -> bool:
    """Whether a version of the log holds each batch once or not at all."""
    rest = Counter(_lines(_some(log, COLUMNS)))
    for batch in batches:
        if batch <= rest:
            rest -= batch
    return not rest


def _holds_sums_of_batches(batches: Sequence[Mapping[int, tuple[int, int | None]]], totals: pa.Table) -> bool:
    """Whether each store in a version of the totals has the sums of some of the batches."""
    rows = _some(totals, ("store_id", "lines", "sales")).to_pylist()
    return all(
        any(
            (row["lines"], _cents(row["sales"]))
            == tuple(sum(batch[row["store_id"]][place] or 0 for batch in chosen) for place in (0, 1))
            for count in range(1, len(batches) + 1)
            for chosen in itertools.combinations([b for b in batches if row["store_id"] in b], count)
        )
        for row in rows
    )


def _cents(value: Any) -> int | None:
    """Dollars as whole cents: sums of floats in another order are the same money. None for what is no amount."""
    return round(100 * float(value)) if value is not None and math.isfinite(value) else None


def _was_closed(facts: TableFacts) -> bool:
    """Whether the constraint that makes a table refuse a batch came after one batch was in the table, and went before another was."""
    told = [
        "rows" if any(_changed(commit).values()) else str(commit.get("operation"))
        for commit in reversed(facts.history)
    ]
    if not {"ADD CONSTRAINT", "DROP CONSTRAINT"} <= set(told):
        return False
    return "rows" in told[: told.index("ADD CONSTRAINT")] and told[::-1].index("rows") < told[::-1].index(
        "DROP CONSTRAINT"
    )


def _changes(facts: TableFacts) -> int:
    """Commits that changed rows."""
    return sum(any(_changed(commit).values()) for commit in facts.history)


def _changed(commit: Mapping[str, Any]) -> dict[str, int]:
    """Rows that a commit inserted, and rows that it updated, deleted or wrote over, by its own metrics."""
    metrics: Mapping[str, Any] = commit.get("operationMetrics") or {}

    def number(*names: str) -> int:
        return sum(int(metrics.get(name) or 0) for name in names)

    operation = commit.get("operation")
    parameters: Mapping[str, Any] = commit.get("operationParameters") or {}
    if operation == "MERGE":
        return {
            "inserted": number("numTargetRowsInserted"),
            "rewritten": number("numTargetRowsUpdated", "numTargetRowsDeleted"),
        }
    if operation in {"UPDATE", "DELETE"}:
        return {"inserted": 0, "rewritten": number("numUpdatedRows", "numDeletedRows")}
    rows = number("numOutputRows")
    if "overwrite" in str(parameters.get("mode", "")).lower():
        return {"inserted": 0, "rewritten": rows}
    return {"inserted": rows if operation in {"WRITE", "STREAMING UPDATE"} else 0, "rewritten": 0}
