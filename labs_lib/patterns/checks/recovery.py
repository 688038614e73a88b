"""Step 2b.5, Recovery: what a right answer is."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from labs_lib.checking.evidence import Evidence
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding
from labs_lib.errors import LabsError
from labs_lib.measuring import delta_log
from labs_lib.patterns.checks.states import Fits, departure
from labs_lib.patterns.faults import COLUMNS, QUARANTINE, TABLE
from labs_lib.patterns.feeds import sales_files

NAMES_SHOWN = 6
FEWEST_LETTERS = 8  # of a reason: shorter than any sentence or name of an error


def observe_2b_5(observer: Observer) -> dict[str, Any]:
    """The table against the deliveries that the seed gives, the quarantine, and the sizes that the table has had."""
    feed = sales_files.feed(observer.lab.seed)
    truth, content = every_line(feed), delta_log.content(observer.path(TABLE))
    quarantine = delta_log.content(observer.path(QUARANTINE))
    broken = Counter(delivery.name for delivery in feed.cut)
    found = Counter(_file(row) for row in quarantine.to_pylist())
    return {
        "columns": content.column_names,
        "wanted_columns": truth.column_names,
        **_compared(content, truth),
        "quarantine_columns": quarantine.column_names,
        "quarantined": _names(found & broken),
        "broken": _names(broken),
        "strange": sum((found - broken).values()),
        "reasons": sum(
            len(str(row.get("reason") or "")) >= FEWEST_LETTERS
            for row in quarantine.to_pylist()
            if _file(row) in broken
        ),
        "sizes": _sizes(observer),
        "milestones": milestones(feed),
        "departs": departure(observer.states(TABLE), [_holds_lines(lines) for lines in _lines_by_then(feed)]),
    }


def judge_2b_5(evidence: Evidence) -> Iterator[Finding]:
    """The table is the clean run's, broken files are in the quarantine, and the rehearsal went as it should."""
    observed = evidence.observed
    wanted, columns = set(observed["wanted_columns"]), set(observed["columns"])
    yield Finding(
        f"the columns of `{TABLE}`",
        wanted <= columns,
        "those of the first files, and the one that came later",
        "there"
        if wanted <= columns
        else _difference(wanted - columns, columns - wanted, hide=wanted - _known()),
        "A MERGE takes over new columns only WITH SCHEMA EVOLUTION, an append only with mergeSchema.",
    )
    yield Finding(
        "every line",
        observed["missing"] == 0,
        "each line of each file, once it has arrived whole",
        "all there" if observed["missing"] == 0 else f"{observed['missing']:,} lines are missing",
        "Look in the rehearsal's table for the act after which `rows` did not grow.",
        weight=2,
    )
    yield Finding(
        "no line twice",
        observed["repeated"] == 0,
        "each `line_id` once",
        "each once" if observed["repeated"] == 0 else f"{observed['repeated']:,} rows too many",
        "A batch that was killed after its write runs again, and the source sends files again: the write has to know the lines that are there.",
        weight=2,
    )
    yield Finding(
        "the values",
        observed["different"] == 0 and observed["strangers"] == 0,
        "every value as in its file",
        "as in the files"
        if observed["different"] == observed["strangers"] == 0
        else f"{observed['different']:,} lines with other values"
        + (f" (in {', '.join(observed['different_columns'])})" if observed["different_columns"] else "")
        + (f", {observed['strangers']:,} lines that no file holds" if observed["strangers"] else ""),
        "A write casts values to the table's types, and a fraction that goes into a column of whole numbers is cut off without a word.",
        weight=2,
    )
    yield from _quarantine(observed)
    grew = _grew(observed["sizes"], observed["milestones"])
    departs = observed["departs"] if grew else ""
    whole = grew and not departs
    yield Finding(
        "the table's history",
        whole,
        "commits that add whole files, delivery after delivery, and nothing of a broken one",
        "so it is"
        if whole
        else f"it grew by such numbers of rows, but {departs}"
        if departs
        else "it grew by other numbers of rows",
        "Half a file is worse than none: nobody sees that the other half is missing. Keep out all of a file that can't be read to its end.",
    )
    yield from _rehearsal(evidence.answers["rehearsal"], observed["milestones"], len(observed["broken"]))


def every_line(feed: sales_files.Feed) -> pa.Table:
    """Every line of a feed once: the table that a right pipeline ends with. `Feed.new_column` is null for older lines."""
    lines = [json.loads(line) for delivery in feed.deliveries for line in delivery.text.splitlines()]
    schema = sales_files.SCHEMA.append(pa.field(feed.new_column, pa.string()))
    columns = {name: [line.get(name) for line in lines] for name in schema.names}
    return pa.table({**columns, "quantity": [float(n) for n in columns["quantity"]]}, schema=schema)


def milestones(feed: sales_files.Feed) -> list[int]:
    """Rows that the table should have after each delivery of the rehearsal."""
    return [sum(delivery.rows for delivery in arrived) for arrived in _arrived(feed)]


def _arrived(feed: sales_files.Feed) -> list[tuple[sales_files.Delivery, ...]]:
    """What has arrived whole at each of those points."""
    return [(*feed.deliveries[:2], feed.sound), feed.deliveries[:-1], feed.deliveries]


def _lines_by_then(feed: sales_files.Feed) -> list[Counter[int]]:
    """The numbers of the lines that have arrived whole at each of those points."""
    return [
        Counter(json.loads(line)["line_id"] for delivery in arrived for line in delivery.text.splitlines())
        for arrived in _arrived(feed)
    ]


def _holds_lines(lines: Counter[int]) -> Fits:
    """Whether a table's rows are of exactly those lines."""
    return lambda rows: Counter(rows["line_id"].to_pylist()) == lines


def _quarantine(observed: dict[str, Any]) -> Iterator[Finding]:
    there = {"file", "reason"} <= set(observed["quarantine_columns"])
    yield Finding(
        f"the columns of `{QUARANTINE}`",
        there,
        "file, reason",
        "there" if there else ", ".join(observed["quarantine_columns"][:NAMES_SHOWN]) or "none",
        "Other columns are yours to add.",
    )
    right = observed["quarantined"] == observed["broken"] and not observed["strange"]
    yield Finding(
        "the files in quarantine",
        right,
        "each broken file once, by its name without the folder, and no other",
        "these"
        if right
        else f"{len(observed['quarantined'])} of {len(observed['broken'])} broken files, and {observed['strange']} rows too many",
        "The batch that met the broken files was killed and ran again: the write to the quarantine has to be idempotent as well.",
    )
    reasons = observed["reasons"] >= len(observed["broken"])
    yield Finding(
        "the reasons",
        reasons,
        "what the reader said about each broken file",
        "there" if reasons else "none, or too short to help anybody",
        "The exception's first line is enough.",
    )


def _rehearsal(rows: list[dict[str, Any]], sizes: list[int], broken: int) -> Iterator[Finding]:
    """What the rehearsal noted, act by act: the outcome is fixed, what a kill may leave is not."""
    first, second, last = sizes
    expected = [  # outcome (the error's name left out), rows, quarantined, unfinished; None for what depends on the pipeline
        ("killed", 0, 0, 1),
        ("killed", None, None, 1),
        ("completed", first, broken, 0),
        ("completed", second, broken, 0),
        ("failed", second, broken, 0),
        ("completed", last, broken, 0),
        ("completed", last, 0, 0),
    ]
    complete = len(rows) == len(expected) and all(set(COLUMNS) <= set(row) for row in rows)
    yield Finding(
        "`rehearsal`",
        complete,
        f"what rehearse() returned: {len(expected)} acts with {', '.join(COLUMNS)}",
        "this" if complete else f"{len(rows)} rows",
    )
    if not complete:
        return
    off = []
    for row, wanted in zip(rows, expected, strict=True):
        found = (str(row["outcome"]).split(":")[0], row["rows"], row["quarantined"], row["unfinished"])
        if any(w is not None and w != f for w, f in zip(wanted, found, strict=True)):
            off.append(str(row["act"])[:40])
    yield Finding(
        "each act",
        not off,
        "killed where it is killed, failed without its source, completed otherwise; all that arrived whole is in the table, each broken file in the quarantine",
        "as it should be" if not off else "not so after: " + ", ".join(off[:NAMES_SHOWN]),
        "Read the rehearsal's table from the top: the first act that is off explains the later ones.",
        weight=2,
    )
    finished = [row["finished"] for row in rows[:-1]]
    kept = all(type(n) is int for n in finished) and finished == sorted(finished)
    yield Finding(
        "the checkpoint",
        kept,
        "batches once finished stay finished, also while the source is gone",
        "kept" if kept else "the number of finished batches fell: the checkpoint was removed or exchanged",
        "A missing source is no reason to begin anew. Let the run fail, and start it again when the source is back.",
    )


def _compared(content: pa.Table, truth: pa.Table) -> dict[str, Any]:
    """How many lines are missing, repeated, unknown, or have other values than in their file."""
    names = [name for name in truth.column_names if name in content.column_names]
    right = {row["line_id"]: row for row in truth.to_pylist()}
    rows = content.select(names).to_pylist()
    seen = Counter(row.get("line_id") for row in rows)
    differing = {
        row.get("line_id"): [name for name in names if not _same(row[name], right[row["line_id"]][name])]
        for row in rows
        if row.get("line_id") in right
    }
    return {
        "missing": sum(line not in seen for line in right),
        "repeated": sum(count - 1 for count in seen.values()),
        "strangers": sum(line not in right for line in seen),
        "different": sum(bool(columns) for columns in differing.values()),
        "different_columns": sorted({name for columns in differing.values() for name in columns}),
    }


def _same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, float) and isinstance(found, int | float):
        return math.isclose(found, wanted, rel_tol=1e-9)
    if found is None or wanted is None:
        return found is wanted
    if isinstance(wanted, float):
        try:
            return math.isclose(float(found), wanted, rel_tol=1e-9)  # a decimal
        except (TypeError, ValueError):
            return False
    return str(found) == str(wanted)  # a date is as good as its text


def _sizes(observer: Observer) -> list[int]:
    """Rows after each commit that changed them, the oldest first, from the operations' metrics."""
    size, sizes = 0, [0]
    for commit in reversed(observer.facts(TABLE).history):
        metrics = commit.get("operationMetrics") or {}
        mode = str((commit.get("operationParameters") or {}).get("mode", ""))
        if commit.get("operation") == "MERGE":
            change = _number(metrics, "numTargetRowsInserted") - _number(metrics, "numTargetRowsDeleted")
        elif mode == "Overwrite" or "REPLACE" in str(commit.get("operation")):
            change = _number(metrics, "numOutputRows") - size
        elif commit.get("operation") == "DELETE":
            change = -_number(metrics, "numDeletedRows")
        elif commit.get("operation") in {"WRITE", "STREAMING UPDATE", "CREATE TABLE AS SELECT"}:
            change = _number(metrics, "numOutputRows")
        else:
            change = 0
        if change:
            size += change
            sizes.append(size)
    return sizes


def _grew(sizes: list[int], wanted: list[int]) -> bool:
    """Whether a table that had these sizes had all the wanted ones on its way, in that order."""
    remaining = iter(sizes)
    return all(size in remaining for size in wanted)


def _number(metrics: dict[str, Any], name: str) -> int:
    try:
        return int(metrics.get(name, 0))
    except (TypeError, ValueError) as error:
        raise LabsError(f"The history of {TABLE} has no readable {name}.") from error


def _file(row: dict[str, Any]) -> str:
    return str(row.get("file"))


def _names(counted: Counter[str]) -> list[str]:
    return sorted(counted.elements())


def _known() -> set[str]:
    return set(sales_files.SCHEMA.names)


def _difference(missing: set[str], extra: set[str], hide: set[str]) -> str:
    """What is missing and what is too much; the names to hide are the answer to the step."""
    lack = sorted(missing - hide) + (["the later one"] if missing & hide else [])
    parts = [
        f"{', '.join(lack)} missing" if lack else "",
        f"{', '.join(sorted(extra)[:NAMES_SHOWN])} too much" if extra else "",
    ]
    return "; ".join(part for part in parts if part)
