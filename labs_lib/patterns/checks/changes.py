"""Steps 2a.1 and 2a.2, changes of households applied to tables: what a right answer is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pyarrow as pa

from datasets.feeds import captured, dimension
from labs_lib.checking import pipeline_source
from labs_lib.checking.evidence import Evidence, Unusable
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding
from labs_lib.measuring import delta_log
from labs_lib.measuring.delta_log import TableFacts
from labs_lib.patterns.checks.states import Fits, departure

# Commits that keep house and change no row.
HOUSEKEEPING = {
    "OPTIMIZE",
    "VACUUM START",
    "VACUUM END",
    "SET TBLPROPERTIES",
    "UNSET TBLPROPERTIES",
    "UPGRADE PROTOCOL",
    "ADD COLUMNS",
    "CHANGE COLUMN",
    "ADD CONSTRAINT",
    "CLUSTER BY",
    "COMPUTE STATS",
    "REORG",
}
BEGINNINGS = ("CREATE TABLE", "CREATE OR REPLACE TABLE", "REPLACE TABLE")  # of an empty table
HISTORY_COLUMNS = ("household_id", *dimension.DETAILS, "valid_from", "valid_to", "is_current")
STATE_COLUMNS = ("household_id", *captured.DETAILS)
BRONZE_COLUMNS = ("operation", "sequence", *STATE_COLUMNS)


def observe_2a_1(observer: Observer) -> dict[str, Any]:
    """The dimension's rows against the true history, and what its MERGE commits did."""
    seed = observer.lab.seed
    rows = _rows(observer, "household_history", HISTORY_COLUMNS)
    found: dict[Any, list[tuple[Any, ...]]] = {}
    for household, *version in rows:
        found.setdefault(household, []).append(tuple(version))
    right = _versions(dimension.history(seed))
    kinds = dimension.kinds(seed)
    counted = Counter(kinds[household] for household in right)
    wrong = Counter(
        kinds.get(household, "still")
        for household in {*right, *found}
        if sorted(found.get(household, []), key=repr) != sorted(right.get(household, []), key=repr)
    )
    commits = _work(observer.facts("household_history"))
    first = next((n for n, commit in enumerate(commits) if commit["operation"] == "MERGE"), len(commits))
    return {
        "households": len(found),
        "overlaps": sum(_overlaps(versions) for versions in found.values()),
        "holes": sum(_holes(versions) for versions in found.values()),
        "not_one_current": sum(
            [version[-1] for version in versions].count(True) != 1 for versions in found.values()
        ),
        "flags": sum(
            (version[4] is None) is not version[5] for versions in found.values() for version in versions
        ),
        "wrong": {kind: wrong[kind] for kind in counted},
        "counted": dict(counted),
        "operations": [commit["operation"] for commit in commits[first:]],
        "merges": [_touched(commit) for commit in commits if commit["operation"] == "MERGE"],
        "effects": [[effect.inserted, effect.closed] for effect in dimension.effects(seed)],
        "departs": departure(
            (state for state in observer.states("household_history") if state.operation == "MERGE"),
            [_holds(_flat(_versions(state)), HISTORY_COLUMNS) for state in dimension.states(seed)],
        ),
    }


def judge_2a_1(evidence: Evidence) -> Iterator[Finding]:
    """Histories without overlaps or holes, equal to the truth; one MERGE per batch, which touches what changes and nothing else."""
    observed = evidence.observed
    faults = {
        name: observed[key]
        for name, key in (
            ("overlaps", "overlaps"),
            ("holes", "holes"),
            ("households without exactly one current row", "not_one_current"),
            ("rows whose `is_current` contradicts `valid_to`", "flags"),
        )
        if observed[key]
    }
    yield Finding(
        "the intervals",
        not faults,
        "versions of a household that follow each other without overlap or hole, exactly one of them current and open",
        ", ".join(f"{number:,} {name}" for name, number in faults.items()) or "so they are",
        "A version ends at the moment the next one begins: `lead(valid_from)` over the household's versions.",
    )
    for kinds, name, look in (
        (
            ("changed", "still"),
            "households with ordinary changes",
            "Compare with `<=>`: with `<>`, a change from or to null is none. And a household may go back to what it was.",
        ),
        (
            ("repeated",),
            "households with unchanged or repeated records",
            "A record whose details are those that are valid at its time makes no version, and neither does one that was applied before.",
        ),
        (
            ("late",),
            "households with late records",
            "A late record belongs between the versions before and after its `effective_at`, even if both are closed.",
        ),
    ):
        wrong = sum(observed["wrong"].get(kind, 0) for kind in kinds)
        counted = sum(observed["counted"].get(kind, 0) for kind in kinds)
        yield Finding(
            name,
            wrong == 0,
            "the versions that the records amount to",
            "exactly those" if wrong == 0 else f"other versions for {wrong:,} of {counted:,} households",
            look,
        )
    operations, merges, effects = observed["operations"], observed["merges"], observed["effects"]
    yield Finding(
        "one commit per batch",
        operations == ["MERGE"] * len(effects),
        f"after the table was laid, {len(effects)} MERGE commits: one for each batch",
        "so it is" if operations == ["MERGE"] * len(effects) else " → ".join(operations)[:120] or "no MERGE",
        "Closing a version and opening the next one belong in the same MERGE. Begin with the table laid anew.",
    )
    first, again = merges[: len(effects) - 1], merges[len(effects) - 1 :]
    yield _as_needed(
        "untouched rows",
        first,
        effects[:-1],
        observed["departs"],
        "the MERGE of each of the first three batches inserts the new versions, updates the rows whose end moves, and touches no other",
        "The metrics of each commit are in DESCRIBE HISTORY. A condition after WHEN MATCHED leaves rows alone that stay as they are.",
    )
    yield _as_needed(
        "the third batch once more",
        again,
        effects[-1:],
        observed["departs"],
        "the last MERGE inserts and closes what the new records of batch 4 ask for; those of batch 3 do nothing a second time",
        "A record that was applied before has to find its own version: match on household and `valid_from`.",
    )


def _as_needed(
    name: str, merges: list[dict[str, int]], effects: list[list[int]], departs: str, expected: str, look: str
) -> Finding:
    """Whether MERGE commits touched as many rows as their batches need, and left the versions that they should."""
    touched = len(merges) == len(effects) and all(
        [c["inserted"], c["updated"], c["deleted"], c["copied"]] == [*effect, 0, 0]
        for c, effect in zip(merges, effects, strict=True)
    )
    said = "; ".join(
        f"{c['inserted']:,} inserted, {c['updated']:,} updated, {c['deleted']:,} deleted, {c['copied']:,} copied"
        for c in merges
    )
    if touched and departs:
        said = f"such numbers of rows, but {departs}"
    good = touched and not departs
    return Finding(name, good, expected, "so it is" if good else said[:240] or "no such MERGE", look)


def observe_2a_2(observer: Observer) -> dict[str, Any]:
    """Bronze against the files, silver against the source's final state, and the commits of both."""
    seed = observer.lab.seed
    bronze = Counter(_rows(observer, "bronze_changes", BRONZE_COLUMNS))
    delivered = captured.rows(seed)
    silver = _rows(observer, "silver_households", STATE_COLUMNS)
    states: dict[Any, list[tuple[Any, ...]]] = {}
    for household, *details in silver:
        states.setdefault(household, []).append(tuple(details))
    truth, traps = captured.state(seed), captured.traps(seed)
    wrong = Counter(
        traps.get(household, "plain")
        for household in {*truth, *states} - {None}
        if states.get(household, []) != ([truth[household]] if household in truth else [])
    )
    appended = [
        int(commit.get("operationMetrics", {}).get("numOutputRows", 0))
        for commit in _work(observer.facts("bronze_changes"))
        if commit["operation"] == "STREAMING UPDATE"
    ]
    commits = _work(observer.facts("silver_households"))
    begun = max((n for n, commit in enumerate(commits) if commit["operation"] in BEGINNINGS), default=0)
    commits = commits[begun:]
    return {
        "tables": pipeline_source.datasets(
            observer.answer("bronze_file")["text"], "table", "create_streaming_table"
        ),
        "missing": (delivered - bronze).total(),
        "surplus": (bronze - delivered).total(),
        "delivered": delivered.total(),
        "bronze_operations": [c["operation"] for c in _work(observer.facts("bronze_changes"))],
        "appended": appended,
        "first_delivery": captured.rows(seed, 1).total(),
        "wrong": dict(wrong),
        "counted": dict(Counter(traps.values())),
        "null_keys": len(states.get(None, [])),
        "silver_operations": [commit["operation"] for commit in commits],
        "merges": [_touched(commit) for commit in commits if commit["operation"] == "MERGE"],
        "first_state": len(captured.state(seed, 1)),
        "bronze_departs": departure(
            observer.states("bronze_changes"),
            [_holds(captured.rows(seed, deliveries), BRONZE_COLUMNS) for deliveries in (1, 2)],
        ),
        "silver_departs": departure(
            (state for state in observer.states("silver_households") if state.operation == "MERGE"),
            [
                _holds(
                    Counter((key, *d) for key, d in captured.state(seed, deliveries).items()), STATE_COLUMNS
                )
                for deliveries in (1, 2)
            ],
        ),
    }


def judge_2a_2(evidence: Evidence) -> Iterator[Finding]:
    """A streaming table that holds each line once; a silver table that equals the source; both fed twice, the second time with what was new."""
    observed = evidence.observed
    yield Finding(
        "the pipeline file",
        "bronze_changes" in observed["tables"],
        "a streaming table `bronze_changes`",
        ", ".join(observed["tables"]) or "no streaming table",
        "`@dp.table` above a function that returns a stream makes one; `@dp.materialized_view` is computed anew in every run.",
    )
    missing, surplus = observed["missing"], observed["surplus"]
    yield Finding(
        "the rows of bronze",
        not missing and not surplus,
        f"the {observed['delivered']:,} lines of all files, each as often as it was delivered",
        "exactly those" if not missing and not surplus else f"{missing:,} rows missing, {surplus:,} too many",
        "Bronze keeps what came, duplicates and broken lines included. A second run must not read a file again.",
    )
    reached = _running(observed["appended"])
    streamed = set(observed["bronze_operations"]) <= {"CREATE TABLE", "STREAMING UPDATE"}
    twice = (
        streamed and observed["first_delivery"] in reached[:-1] and reached[-1:] == [observed["delivered"]]
    )
    departs = observed["bronze_departs"] if twice else ""
    yield Finding(
        "bronze grows by what is new",
        twice and not departs,
        "stream commits alone: first the lines of the first delivery, then those of the second",
        f"stream commits of such numbers of rows, but {departs}"
        if departs
        else "so it grew"
        if twice
        else " → ".join(observed["bronze_operations"])[:120]
        if not streamed
        else f"stream commits of {', '.join(f'{n:,}' for n in observed['appended']) or 'no'} rows",
        "Run the pipeline after the first delivery, and again after the second. Clear tables and pipeline folder before, not between.",
    )
    for kind, name, expected, look in (
        (
            "deleted",
            "deleted households",
            "none of them in silver",
            "A delete counts by its sequence: an older change that arrives after it must not bring the row back.",
        ),
        (
            "late",
            "households whose changes came out of order",
            "the details of the change with the highest sequence",
            "What came last is not what happened last.",
        ),
        (
            "plain",
            "all other households",
            "their details in the source, one row each",
            "Which columns, which keys?",
        ),
    ):
        wrong = observed["wrong"].get(kind, 0)
        counted = observed["counted"].get(kind, 0)
        yield Finding(
            name,
            wrong == 0,
            expected,
            "so it is" if wrong == 0 else f"otherwise for {wrong:,} of {counted:,}",
            look,
        )
    yield Finding(
        "changes without a key",
        observed["null_keys"] == 0,
        "no row of silver without `household_id`",
        "none" if observed["null_keys"] == 0 else f"{observed['null_keys']:,} such rows",
        "Nothing can be said to belong to no household: such a change is kept apart.",
    )
    yield _incremental(observed)


def _incremental(observed: dict[str, Any]) -> Finding:
    """Silver was brought by MERGE alone to its state after the first delivery, and from there with no more than what was new."""
    merges = observed["merges"]
    sizes = _running([commit["inserted"] - commit["deleted"] for commit in merges])
    new = observed["delivered"] - observed["first_delivery"]
    borders = [place + 1 for place, size in enumerate(sizes[:-1]) if size == observed["first_state"]]
    by_merge = set(observed["silver_operations"]) <= {*BEGINNINGS, "MERGE"}
    later = min((sum(c["source"] for c in merges[border:]) for border in borders), default=None)
    grew = by_merge and later is not None and 0 < later <= new
    good = grew and not observed["silver_departs"]
    if grew:
        said = f"commits of such numbers of rows, but {observed['silver_departs']}"
    elif not by_merge:
        said = " → ".join(observed["silver_operations"])[:120]
    elif later is None:
        said = f"{len(merges)} MERGE commits, with {', '.join(f'{size:,}' for size in sizes) or 'no'} rows after them"
    else:
        said = f"a second run that merged {later:,} rows, of {new:,} that were new"
    return Finding(
        "silver grows by what is new",
        good,
        "MERGE commits alone: after the first delivery, the source's state at that time; then a run with no more than the second delivery's changes",
        "so it grew" if good else said,
        "Run the flow after each run of the pipeline. Its checkpoint tells it what it has read; drop the flow before the first run, not between.",
    )


def _rows(observer: Observer, table: str, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """A table's rows in these columns, further ones left out, times in UTC. Raises Unusable if one is missing."""
    content = delta_log.content(observer.path(table))
    missing = [name for name in columns if name not in content.column_names]
    if missing:
        raise Unusable(
            f"The table `{table}` has no column `{missing[0]}`; it has {', '.join(content.column_names)}."
        )
    return _listed(content, columns)


def _listed(content: pa.Table, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    listed = [[_plain(value) for value in content[name].to_pylist()] for name in columns]
    return list(zip(*listed, strict=True))


def _holds(rows: Counter[tuple[Any, ...]], columns: tuple[str, ...]) -> Fits:
    """Whether a table's rows in these columns are exactly those."""
    return lambda content: Counter(_listed(content, columns)) == rows


def _versions(history: dict[int, list[dimension.Version]]) -> dict[Any, list[tuple[Any, ...]]]:
    """By household, its versions as rows of the dimension without the household."""
    return {
        household: [(*v.details, v.valid_from, v.valid_to, v.valid_to is None) for v in versions]
        for household, versions in history.items()
    }


def _flat(versions: dict[Any, list[tuple[Any, ...]]]) -> Counter[tuple[Any, ...]]:
    return Counter((household, *row) for household, rows in versions.items() for row in rows)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    return value if isinstance(value, int | str | bool) or value is None else repr(value)


def _overlaps(versions: list[tuple[Any, ...]]) -> int:
    """How often a version begins before the one before it ends."""
    return sum(end is None or end > begin for end, begin in _neighbours(versions))


def _holes(versions: list[tuple[Any, ...]]) -> int:
    """How often a version begins after the one before it has ended; one more if the last one ends."""
    gaps = sum(end is not None and end < begin for end, begin in _neighbours(versions))
    return gaps + all(version[4] is not None for version in versions)


def _neighbours(versions: list[tuple[Any, ...]]) -> list[tuple[Any, Any]]:
    dated = sorted(
        ((v[3], v[4]) for v in versions if isinstance(v[3], datetime)),
        key=lambda pair: (pair[0], str(pair[1])),
    )
    return [(before[1], after[0]) for before, after in pairwise(dated)]


def _work(facts: TableFacts) -> list[dict[str, Any]]:
    """The commits that may have changed rows, oldest first."""
    return [commit for commit in reversed(facts.history) if commit.get("operation") not in HOUSEKEEPING]


def _touched(commit: dict[str, Any]) -> dict[str, int]:
    """Rows of the source of a MERGE, and what became of the target's, by its metrics."""
    metrics = commit.get("operationMetrics", {})
    names = {"inserted": "Inserted", "updated": "Updated", "deleted": "Deleted", "copied": "Copied"}
    touched = {short: int(metrics.get(f"numTargetRows{name}", 0)) for short, name in names.items()}
    return touched | {"source": int(metrics.get("numSourceRows", 0))}


def _running(numbers: list[int]) -> list[int]:
    """The sums up to each number."""
    sums: list[int] = []
    for number in numbers:
        sums.append(number + (sums[-1] if sums else 0))
    return sums
