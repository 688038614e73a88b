"""Steps 2b.3 and 2b.4, a circuit breaker and an idempotent write: what a right answer is."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from datasets.tables import STORE_REGIONS
from datasets.variation import generator
from labs_lib.checking.evidence import Evidence
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding
from labs_lib.measuring import delta_log
from labs_lib.measuring.delta_log import TableFacts
from labs_lib.patterns.deliveries import LOG, TOTALS
from labs_lib.patterns.feeds.deliveries import BATCHES, COLUMNS, batches
from labs_lib.patterns.flaky_service import (
    DROPPED,
    OUTAGES,
    CircuitOpen,
    FlakyService,
    ManualClock,
    Outage,
    ServiceDown,
)

Script = dict[str, Any]
Row = dict[str, Any]

STATES = ("closed", "open", "half-open")
UNKNOWN_STORE = 0
SECOND = 1.0  # between two calls of a script
AROUND = 0.25  # seconds before and after a call during which the service is as the script says
PATIENCE = 10.0  # seconds for one script, which takes milliseconds; more is a breaker that waits
OVERLAP = 3.0  # seconds for a call beside another one, which should be refused or answered at once

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


def inputs_2b_3(seed: int) -> dict[str, list[list[Any]]]:
    """Scripts that no notebook has seen: one for each thing that a breaker has to do."""
    return {"CircuitBreaker": [[script] for script in _scripts(seed)]}


def drive_2b_3(breaker: Callable[..., Any], script: Script) -> Row:
    """Lead a breaker of the learner's class through a script, against a real service with a clock that only this moves.

    Per call: its `outcome`, the `state` after it, the state `during` it, the outcome of an `other` call made from another
    thread during it, and how many calls `reached` the service, by the service's own record.
    """
    rows: list[Row] = []
    problem: list[Exception] = []

    def lead() -> None:
        try:
            _lead(breaker, script, rows)
        except Exception as error:  # a learner's constructor may raise anything
            problem.append(error)

    # A thread that can be left, for a breaker that sleeps through its cooldown.
    thread = threading.Thread(target=lead, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if problem:
        raise problem[0]
    return {"calls": list(rows), "ended": not thread.is_alive()}


def observe_2b_3(observer: Observer) -> dict[str, Any]:
    """What a right breaker does in each script, and each script in words."""
    scripts = _scripts(observer.lab.seed)
    return {"right": [_right(script) for script in scripts], "told": [_told(script) for script in scripts]}


def judge_2b_3(evidence: Evidence) -> Iterator[Finding]:
    """A finding for each script: all its calls as a right breaker makes them."""
    outputs, observed = evidence.answers["CircuitBreaker"]["outputs"], evidence.observed
    for number, (name, expected, look) in enumerate(BREAKER_FINDINGS):
        output = outputs[number] if number < len(outputs) else {}
        found = _departure(output, observed["right"][number], observed["told"][number])
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
    few = observed["changes"][TOTALS] <= BATCHES
    yield Finding(
        "what a repeated delivery changes",
        written and once and few,
        f"nothing: by their histories, each line was inserted into `{LOG}` once and none rewritten, "
        f"and `{TOTALS}` changed at most once per batch",
        "nothing"
        if written and once and few
        else "nothing was written"
        if not written
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


def _lead(breaker_class: Callable[..., Any], script: Script, rows: list[Row]) -> None:
    start = script["start"]
    clock = ManualClock(start)
    outages = [Outage(start + begin, start + end, answer) for begin, end, answer in script["outages"]]
    with FlakyService({store: region for store, region in script["stores"]}, outages, clock) as service:
        breaker = breaker_class(failures=script["failures"], cooldown=script["cooldown"], clock=clock)
        for at, store, beside in script["calls"]:
            clock.advance(start + at - clock.now)
            before = len(service.calls)
            row: Row = {"during": None, "other": None}
            others: list[threading.Thread] = []

            def lookup(
                store_id: int, row: Row = row, beside: bool = beside, others: list[threading.Thread] = others
            ) -> str:
                row["during"] = _state(breaker)
                if beside:
                    row["other"] = _beside(breaker, service, store_id, others)
                return service.region_of(store_id)

            row["outcome"] = _outcome(breaker, lookup, store)
            for other in others:
                other.join(OVERLAP)
            rows.append({**row, "state": _state(breaker), "reached": len(service.calls) - before})


def _beside(breaker: Any, service: FlakyService, store: int, others: list[threading.Thread]) -> str:
    """The outcome of a call from another thread, or that it had to wait."""
    outcomes: list[str] = []
    other = threading.Thread(
        target=lambda: outcomes.append(_outcome(breaker, service.region_of, store)), daemon=True
    )
    others.append(other)
    other.start()
    other.join(OVERLAP)
    return outcomes[0] if outcomes else "waiting for the first"


def _outcome(breaker: Any, function: Callable[[int], str], store: int) -> str:
    try:
        return _returned(breaker.call(function, store))
    except CircuitOpen:
        return CircuitOpen.__name__  # a subclass is one too
    except Exception as error:
        return type(error).__name__


def _state(breaker: Any) -> str:
    """The breaker's state, as a plain word: a member of an enumeration that equals it is as good."""
    return next((word for word in STATES if breaker.state == word), str(breaker.state))


def _returned(value: object) -> str:
    return f"the value {value!r}"


def _right(script: Script) -> list[Row]:
    """The rows that drive_2b_3 gives for a right breaker."""
    regions = {store: region for store, region in script["stores"]}
    state, failed, opened = "closed", 0, 0.0
    rows: list[Row] = []
    for at, store, beside in script["calls"]:
        if state == "open" and at - opened < script["cooldown"]:
            rows.append(_row(CircuitOpen.__name__, None, None, state, 0))
            continue
        during = "closed" if state == "closed" else "half-open"
        answer = _answer(script["outages"], regions, at, store)
        if answer in FAILURES:
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


# What `region_of` raises for each kind of outage.
OUTAGE_ERRORS = {DROPPED: "RemoteDisconnected"}
FAILURES = {ServiceDown.__name__, *OUTAGE_ERRORS.values()}


def _answer(outages: Sequence[Sequence[Any]], regions: Mapping[int, str], at: float, store: int) -> str:
    for start, end, answer in outages:
        if start <= at < end:
            return OUTAGE_ERRORS.get(answer, ServiceDown.__name__)
    return _returned(regions[store]) if store in regions else LookupError.__name__


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
    if "error" in output:
        return str(output["error"])[:160]
    calls = (output.get("value") or {}).get("calls", [])
    for number, right in enumerate(wanted):
        story = f"with {told['made']} and a service that was {', '.join(told['calls'][: number + 1])}, the last call"
        if number >= len(calls):
            return f"{story} did not come to an end"
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
    return "nothing, for the function did not run" if value is None else str(value)[:60]


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
