"""Steps 2a.3 to 2a.5, streams over the nightly sales: what a right answer is."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from labs_lib.checking.evidence import Evidence
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding
from labs_lib.measuring import delta_log
from labs_lib.measuring.delta_log import TableFacts
from labs_lib.patterns.checks.states import Fits, departure
from labs_lib.patterns.feeds import sales_events
from labs_lib.patterns.watermarks import EPOCH, Replay, replay

SHORT, LONG = 2, 24  # hours of delay in 2a.3, and in 2a.4
CENT = 0.005  # dollars; sums of the same amounts in another order differ by far less
HOURLY, DAILY = ("window_start", "store_id"), ("day", "store_id")
WRITES = ("WRITE", "CREATE TABLE AS SELECT", "CREATE OR REPLACE TABLE AS SELECT", "REPLACE TABLE AS SELECT")
# Bytes read against the size of the files: how far an answer that reads each file once may be above it. MERGE reads its target twice and
# Delta reads its log; both grow with the nights, to 21 kB in the fourth. Reading a file twice doubles the figure.
READ_ONCE, READ_BESIDES = 1.5, 65_536
LARGEST = 2**53  # beyond it floats skip whole numbers
NIGHTS = range(1, sales_events.NIGHTS + 1)


def observe_2a_3(observer: Observer) -> dict[str, Any]:
    """The table against Spark's rule, its commits, and what the progress should have said."""
    truth = _replayed(observer.lab.seed, SHORT)
    facts = observer.facts("hourly_sales")
    return {
        "columns": list(facts.columns),
        "rows": _difference(_rows(observer, "hourly_sales"), truth.emitted, HOURLY),
        "commits": _stream_commits(facts),
        "closings": _closings(truth),
        "departs": _stream_departs(observer, "hourly_sales", truth),
        "progress": _expected_progress(truth),
    }


def judge_2a_3(evidence: Evidence) -> Iterator[Finding]:
    """The closed windows and no others, written by a stream night by night, with the state that this takes."""
    observed = evidence.observed
    yield from _columns_and_rows(
        "hourly_sales",
        observed,
        HOURLY,
        "every window that the watermark has passed, with all lines that came before it did",
    )
    yield _written_by_a_stream(observed)
    yield from _progress_findings(evidence.answers["hourly_progress"], observed["progress"])


def observe_2a_4(observer: Observer) -> dict[str, Any]:
    """What both delays drop and keep by Spark's rule, and the table of the longer one against it."""
    truth = {hours: _replayed(observer.lab.seed, hours) for hours in (SHORT, LONG)}
    facts = observer.facts("hourly_sales_long")
    return {
        "columns": list(facts.columns),
        "rows": _difference(_rows(observer, "hourly_sales_long"), truth[LONG].emitted, HOURLY),
        "commits": _stream_commits(facts),
        "closings": _closings(truth[LONG]),
        "departs": _stream_departs(observer, "hourly_sales_long", truth[LONG]),
        "late": {
            str(hours): {
                "dropped": each.dropped,
                "lost_lines": each.dropped_lines,
                "state_rows": each.open_groups,
            }
            for hours, each in truth.items()
        },
    }


def judge_2a_4(evidence: Evidence) -> Iterator[Finding]:
    """The corrected windows, and for both delays what was dropped, what that lost, and what the state cost."""
    observed = evidence.observed
    yield from _columns_and_rows(
        "hourly_sales_long",
        observed,
        HOURLY,
        f"the windows that a delay of {LONG} hours has closed, with all lines that it admits",
    )
    yield _written_by_a_stream(observed)
    reported = {_number(row.get("delay_hours")): row for row in evidence.answers["late"]}
    asked = {float(hours): figures for hours, figures in observed["late"].items()}
    yield Finding(
        "the delays in `late`",
        set(reported) == set(asked),
        f"a row for each: delay_hours {SHORT} and {LONG}",
        ", ".join(f"{hours:g}" for hours in sorted(reported)) or "no row",
        "The short one is that of 2a.3.",
    )
    for name, expected, look in (
        (
            "dropped",
            "the sum of the progress's `dropped` over the micro-batches",
            "Spark reports it for each micro-batch of each run.",
        ),
        (
            "lost_lines",
            "lines of closed windows that are in the files and not in the table",
            "A window is closed when its end is at or before the last watermark. `dropped` counts groups, so the two differ.",
        ),
        (
            "state_rows",
            "the rows in the state after the last run",
            "`state_rows` of the progress, in its last row.",
        ),
    ):
        other = [
            hours
            for hours, figures in asked.items()
            if _number(reported.get(hours, {}).get(name)) != figures[name]
        ]
        yield Finding(
            f"`{name}`",
            not other,
            f"for each delay {expected}",
            "right for both"
            if not other
            else "; ".join(
                f"{_shown(reported.get(hours, {}).get(name))} for {hours:g} hours" for hours in other
            ),
            look,
        )


def observe_2a_5(observer: Observer) -> dict[str, Any]:
    """Both tables against the truth, what each commit wrote, and what each way had to read."""
    touched, so_far, read, read_so_far, final = _daily(observer.lab.seed)
    sizes = [len(sales_events.file_of(observer.lab.seed, night)) for night in NIGHTS]
    incremental, full = observer.facts("daily_incremental"), observer.facts("daily_full")
    return {
        "tables": {
            name: {
                "columns": list(facts.columns),
                "rows": _difference(_rows(observer, name), final, DAILY),
            }
            for name, facts in (("daily_incremental", incremental), ("daily_full", full))
        },
        "written": {"daily_incremental": _written(incremental), "daily_full": _written(full)},
        "departs": {
            name: departure(
                observer.states(name), [_holds(days, DAILY) for days in _by_night(observer.lab.seed)]
            )
            for name in ("daily_incremental", "daily_full")
        },
        "to_write": {"daily_incremental": touched, "daily_full": so_far},
        "to_read": {"incremental_rows": read, "full_rows": read_so_far},
        "sizes": {"incremental_bytes": sizes, "full_bytes": np.cumsum(sizes).tolist()},
    }


def judge_2a_5(evidence: Evidence) -> Iterator[Finding]:
    """Two equal tables, made in two ways, and the rows and bytes that each way read."""
    observed = evidence.observed
    for name, table in observed["tables"].items():
        yield from _columns_and_rows(name, table, DAILY, "sums over all lines of the four nights")
    for name, expected, look in (
        (
            "daily_incremental",
            "each night writes the days and stores of that night's lines, and no others",
            "MERGE the night's sums; numTargetRowsInserted and numTargetRowsUpdated are in the table's history.",
        ),
        (
            "daily_full",
            "each night writes the whole table anew",
            "`mode('overwrite')` after each night; numOutputRows is in the table's history.",
        ),
    ):
        written, wanted = observed["written"][name], observed["to_write"][name]
        departs = observed["departs"][name]
        yield Finding(
            f"how `{name}` was made",
            written == wanted and not departs,
            expected,
            f"{len(written)} writes of {_list(written)} rows"
            if written != wanted
            else f"by writes of such numbers of rows, but {departs}"
            if departs
            else "as it should be",
            look,
        )
    cost = sorted(evidence.answers["cost"], key=lambda row: _number(row.get("night")))
    nights = [_number(row.get("night")) for row in cost]
    yield Finding(
        "the nights in `cost`",
        nights == [float(night) for night in NIGHTS],
        f"a row for each night, 1 to {len(NIGHTS)}",
        _list(nights),
        "One row per night, with both figures.",
    )
    for name, expected in (
        ("incremental_rows", "the lines that came in that night, as the stream's progress counts them"),
        ("full_rows", "all lines so far, as the measured run's scan counts them"),
    ):
        found = [_number(row.get(name)) for row in cost]
        right = found == [float(rows) for rows in observed["to_read"][name]]
        yield Finding(
            f"`{name}`",
            right,
            expected,
            "those" if right else _list(found),
            "Take the figures from the metrics of each run, night by night, and don't add them up.",
        )
    for name, expected in (
        ("incremental_bytes", "the night's file once, and a little for MERGE and Delta's log"),
        ("full_bytes", "every file so far once, and a little for Delta's log"),
    ):
        found = [_number(row.get(name)) for row in cost]
        sizes = observed["sizes"][name]
        right = len(found) == len(sizes) and all(
            size <= read <= size * READ_ONCE + READ_BESIDES for read, size in zip(found, sizes, strict=True)
        )
        yield Finding(
            f"`{name}`",
            right,
            f"{expected}: files of {_list(sizes)} bytes",
            "so it is" if right else _list(found),
            "`input_bytes` of each measured run. A batch function that uses `batch` twice reads its file twice, unless it persists it.",
        )


@functools.cache
def _replayed(seed: int, hours: int) -> Replay:
    nights = [sales_events.night_of(seed, night) for night in NIGHTS]
    return replay(nights, pd.Timedelta(hours=hours))


@functools.cache
def _daily(seed: int) -> tuple[list[int], list[int], list[int], list[int], pd.DataFrame]:
    """Per night: groups of its lines, groups so far, its lines, lines so far; and the sums over all nights."""
    lines = sales_events.events(seed)
    lines = lines.assign(day=lines.event_time.dt.date)
    touched = [len(lines[lines.night == night].groupby(list(DAILY))) for night in NIGHTS]
    so_far = [len(lines[lines.night <= night].groupby(list(DAILY))) for night in NIGHTS]
    read = [int((lines.night == night).sum()) for night in NIGHTS]
    return touched, so_far, read, np.cumsum(read).tolist(), _by_night(seed)[-1]


@functools.cache
def _by_night(seed: int) -> list[pd.DataFrame]:
    """The sums by day and store after each night."""
    lines = sales_events.events(seed)
    lines = lines.assign(day=lines.event_time.dt.date)
    return [
        lines[lines.night <= night]
        .groupby(list(DAILY), as_index=False)
        .agg(lines=("sales_value", "size"), sales=("sales_value", "sum"))
        for night in NIGHTS
    ]


def _rows(observer: Observer, table: str) -> pd.DataFrame:
    return delta_log.content(observer.path(table)).to_pandas()


def _difference(found: pd.DataFrame, wanted: pd.DataFrame, keys: Sequence[str]) -> dict[str, int]:
    """How rows of a table differ from what they should be: how many are missing, too many, there twice, or have other figures."""
    figures = ["lines", "sales"]
    if not {*keys, *figures} <= set(found.columns):
        return {"missing": len(wanted), "extra": 0, "twice": 0, "other": 0}
    found, wanted = (_comparable(frame[[*keys, *figures]], keys[0]) for frame in (found, wanted))
    twice = found.duplicated(list(keys))
    both = found[~twice].merge(wanted, on=list(keys), how="outer", suffixes=("", "_wanted"), indicator=True)
    matched = both[both["_merge"] == "both"]
    other = (matched.lines != matched.lines_wanted) | ~((matched.sales - matched.sales_wanted).abs() < CENT)
    return {
        "missing": int((both["_merge"] == "right_only").sum()),
        "extra": int((both["_merge"] == "left_only").sum()),
        "twice": int(twice.sum()),
        "other": int(other.sum()),
    }


def _comparable(frame: pd.DataFrame, time: str) -> pd.DataFrame:
    """The frame with its time as text and its numbers as floats: what types an answer chose does not matter."""
    moment = pd.to_datetime(frame[time], utc=True, errors="coerce").dt.strftime("%Y-%m-%d %H:%M:%S")
    numbers = frame.drop(columns=time).apply(pd.to_numeric, errors="coerce").astype(float)
    return numbers.assign(**{time: moment})


def _columns_and_rows(
    table: str, observed: dict[str, Any], keys: Sequence[str], expected: str
) -> Iterator[Finding]:
    wanted = [*keys, "lines", "sales"]
    lacking = [name for name in wanted if name not in observed["columns"]]
    yield Finding(
        f"the columns of `{table}`",
        not lacking,
        ", ".join(wanted),
        ", ".join(observed["columns"])[:200],
        "Names count, their order does not.",
    )
    if lacking:
        return
    words = {
        "missing": "missing",
        "extra": "that should not be there",
        "twice": "there twice",
        "other": "with other figures",
    }
    wrong = [f"{count:,} rows {words[what]}" for what, count in observed["rows"].items() if count]
    yield Finding(
        f"the rows of `{table}`",
        not wrong,
        expected,
        "exactly those" if not wrong else "; ".join(wrong),
        "An answer that is run again has to begin with an empty landing folder, no checkpoint and no table.",
        weight=2,
    )


def _expected_progress(truth: Replay) -> list[dict[str, Any]]:
    return [
        {"input_rows": batch.input_rows, "state_rows": batch.state_rows, "watermark": str(batch.watermark)}
        for batch in truth.batches
    ]


def _closings(truth: Replay) -> list[int]:
    """How many windows each micro-batch closes, of those that close some."""
    return [batch.closed for batch in truth.batches if batch.closed]


def _stream_departs(observer: Observer, table: str, truth: Replay) -> str:
    """How a stream's table departs from the windows that are closed after each of those micro-batches; empty if it doesn't."""
    return departure(
        (state for state in observer.states(table) if state.operation == "STREAMING UPDATE"),
        [_holds(truth.emitted.iloc[:closed], HOURLY) for closed in np.cumsum(_closings(truth))],
    )


def _holds(wanted: pd.DataFrame, keys: Sequence[str]) -> Fits:
    """Whether a table's rows are those of the frame."""
    return lambda rows: not any(_difference(rows.to_pandas(), wanted, keys).values())


def _written_by_a_stream(observed: dict[str, Any]) -> Finding:
    """Whether a stream wrote the table, in append mode and in a run for each night."""
    commits = observed["commits"]
    written = [commit["rows"] for commit in commits if commit["rows"]]
    modes = sorted({commit["mode"] for commit in commits})
    streamed = written == observed["closings"] and modes == ["Append"]
    departs = observed["departs"] if streamed else ""
    right = streamed and not departs
    return Finding(
        "how it was written",
        right,
        "by a stream in append mode, which after each night writes the windows that this night has closed",
        "night by night"
        if right
        else f"by commits of such numbers of rows, but {departs}"
        if departs
        else "not by a stream"
        if not commits
        else f"in {' and '.join(modes)[:80]} mode, {len(written)} times, {max(written, default=0):,} rows at most",
        "DESCRIBE HISTORY has a STREAMING UPDATE for each micro-batch, with its output mode and its rows. One run per night.",
    )


def _progress_findings(rows: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> Iterator[Finding]:
    found = sorted(rows, key=lambda row: _number(row.get("batch")))
    for name, expected, look in (
        (
            "input_rows",
            "a micro-batch with that night's lines, then one without data, for each night",
            "`run_stream` returns the micro-batches of one run; `pd.concat` puts those of several below each other.",
        ),
        (
            "watermark",
            f"the largest event time seen before, minus {SHORT} hours",
            "The watermark belongs on `event_time`, before the aggregation.",
        ),
        (
            "state_rows",
            "only groups that are still open: the state shrinks whenever the watermark moves",
            "Complete mode keeps every group for ever; so does an aggregation without a watermark.",
        ),
    ):
        convert = _moment if name == "watermark" else _number
        have, want = ([convert(row.get(name)) for row in each] for each in (found, wanted))
        same = have == want
        if same:
            said = "as it should be"
        elif name == "state_rows" and found:
            said = f"{max(map(_number, (row.get(name) for row in found))):,.0f} rows at most"
        else:
            said = f"{len(have)} micro-batches" if len(have) != len(want) else "other values"
        yield Finding(f"`{name}` in `hourly_progress`", same, expected, said, look)


def _stream_commits(facts: TableFacts) -> list[dict[str, Any]]:
    """The commits of streams, oldest first: output mode and rows written."""
    return [
        {
            "mode": str(commit.get("operationParameters", {}).get("outputMode", "")),
            "rows": _metric(commit, "numOutputRows"),
        }
        for commit in reversed(facts.operations("STREAMING UPDATE"))
    ]


def _written(facts: TableFacts) -> list[int]:
    """Rows that each commit inserted or changed, oldest first, without commits that wrote none."""
    rows = []
    for commit in reversed(facts.history):
        if commit.get("operation") == "MERGE":
            rows.append(_metric(commit, "numTargetRowsInserted") + _metric(commit, "numTargetRowsUpdated"))
        elif commit.get("operation") in (*WRITES, "STREAMING UPDATE"):
            rows.append(_metric(commit, "numOutputRows"))
    return [count for count in rows if count]


def _metric(commit: dict[str, Any], name: str) -> int:
    text = str(commit.get("operationMetrics", {}).get(name, "0"))
    return int(text) if text.isdecimal() else 0


def _number(value: Any) -> float:
    """A number of an answer; -1 for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > LARGEST:
        return -1.0
    return float(value)


def _moment(value: Any) -> pd.Timestamp:
    """A time of an answer, in UTC; the epoch, from which watermarks start, for what is none."""
    moment = pd.to_datetime(str(value)[:40], utc=True, errors="coerce")
    return moment if isinstance(moment, pd.Timestamp) else EPOCH


def _shown(value: Any) -> str:
    number = _number(value)
    return "no such figure" if number == -1 else f"{number:,.10g}"


def _list(numbers: Sequence[float]) -> str:
    return ", ".join(f"{number:,.0f}" for number in numbers[:10]) or "none"
