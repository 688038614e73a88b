"""A Delta table's history held against its files: a commit can say anything of itself, and a notebook can write one by hand.

What is worked out here comes from the actions that the Delta protocol acts on ("Add File and Remove File", "Deletion Vectors") and from the
rows in the data files. What a commit alone can tell (who wrote it, how many rows a source had, that VACUUM ran) is in no file.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, QueryBuilder

from labs_lib.errors import first_line

# Operations that put the rows of their source into files as they are.
WRITES = (
    "WRITE",
    "STREAMING UPDATE",
    "CREATE TABLE AS SELECT",
    "CREATE OR REPLACE TABLE AS SELECT",
    "REPLACE TABLE AS SELECT",
)
SAME_ROWS = ("OPTIMIZE", "REORG", "UPDATE")  # as many rows after as before
ROWS = (
    *("numOutputRows", "numCopiedRows", "numUpdatedRows", "numDeletedRows"),
    *("numTargetRowsInserted", "numTargetRowsUpdated", "numTargetRowsDeleted", "numTargetRowsCopied"),
)
FILES_ADDED = ("numAddedFiles", "numTargetFilesAdded", "numFiles")
FILES_REMOVED = ("numRemovedFiles", "numTargetFilesRemoved")


@dataclass(frozen=True)
class Commit:
    """One commit: what it tells, and what its actions did to the table's files.

    `added` and `removed` are paths that came and went, without those that only got another deletion vector. `written` are the rows in
    the added files, `before` and `after` the table's rows; None where a file is gone. `files` are those of the table after it; None if
    earlier commits are gone.
    """

    version: int
    operation: str
    metrics: Mapping[str, int]
    timestamp: int  # milliseconds since the epoch
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: bool  # whether rows may have changed at all
    written: int | None
    before: int | None
    after: int | None
    files: frozenset[str] | None


@dataclass(frozen=True)
class State:
    """A table's rows after a commit that acted on its files, with names in small letters; None if some of them are gone."""

    version: int
    operation: str
    rows: pa.Table | None


def commits(path: Path) -> Iterator[Commit]:
    """The commits of the table in that folder, the oldest first, as far back as the log has them.

    Raises ValueError if a commit is no JSON of the protocol's shape.
    """
    count = cache(_footer_rows)  # for this call alone: another submission's files may come to the same place
    live: dict[str, int] | None = {}  # rows that a deletion vector takes out, by path
    for file in sorted((path / "_delta_log").glob("*.json")):
        version = int(file.stem)
        if version and live == {} and not (path / "_delta_log" / f"{version - 1:020}.json").exists():
            live = None  # earlier commits are gone; what was there then is in no commit
        actions = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        info: dict[str, Any] = next(
            (action["commitInfo"] for action in actions if "commitInfo" in action), {}
        )
        adds = {unquote(a["add"]["path"]): _vector(a["add"]) for a in actions if "add" in a}
        removes = {unquote(a["remove"]["path"]) for a in actions if "remove" in a}
        added = tuple(each for each in adds if live is None or each not in live)
        before = _rows(path, live, count)
        if live is not None:
            live = {each: vector for each, vector in live.items() if each not in removes} | adds
        yield Commit(
            version,
            str(info.get("operation", "")),
            {
                name: int(value)
                for name, value in (info.get("operationMetrics") or {}).items()
                if str(value).isdecimal()
            },
            int(info.get("inCommitTimestamp") or info.get("timestamp") or 0),
            added,
            tuple(removes - adds.keys()),
            bool(adds or removes),
            _rows(path, dict.fromkeys(added, 0), count),
            before,
            _rows(path, live, count),
            None if live is None else frozenset(live),
        )


def states(path: Path) -> list[State]:
    """What the table in that folder held after each commit that added or removed files, the oldest first.

    A commit without such actions left what was there: it is no state, whatever it tells. Raises what delta-rs raises for files that it
    can't read; `contradiction` has read them all.
    """
    return [
        State(each.version, each.operation, None if each.after is None else _table(path, each.version))
        for each in commits(path)
        if each.changed
    ]


def contradiction(path: Path) -> str | None:
    """The first thing that the history of the table in that folder says and its files don't, as a sentence; None if all fits."""
    try:
        found = list(commits(path))
        return next(_contradictions(path, found), None)
    except Exception as error:  # a log that a stranger wrote; and delta-rs raises plain Exception for a file that it can't read
        return f"The history of {path.name} can't be read: {first_line(error)}"


def _contradictions(path: Path, found: list[Commit]) -> Iterator[str]:
    last = 0
    for commit in found:
        for problem in _problems(commit):
            yield f"The history of {path.name} and its files contradict each other: commit {commit.version} ({commit.operation or 'no operation'}) {problem}."
        if commit.timestamp < last:
            yield f"The history of {path.name} contradicts itself: commit {commit.version} is earlier than the one before it."
        last = commit.timestamp
    for commit in found:
        if commit.files is not None and commit.version in {*_checkpoints(path), found[-1].version}:
            read = {unquote(file) for file in _files(path, commit.version)}
            if read != commit.files:
                yield f"The history of {path.name} contradicts itself: its checkpoints have other files for version {commit.version} than its commits."
    for commit in found:
        if commit.operation == "MERGE" and commit.changed and (said := _merge_problem(path, commit)):
            yield f"The history of {path.name} and its rows contradict each other: commit {commit.version} (MERGE) {said}."


def _problems(commit: Commit) -> Iterator[str]:
    """What a commit's metrics say and its actions don't, each as the end of a sentence."""
    told = commit.metrics
    if not commit.changed and (rows := max((told.get(name, 0) for name in ROWS), default=0)):
        yield f"tells of {rows} rows, and acts on no file"
    if (
        told.get("numOutputRows") == 0
    ):  # Spark writes an empty file then, and counts it, but does not commit it
        told = {name: value for name, value in told.items() if name not in FILES_ADDED}
    for names, paths, word in (
        (FILES_ADDED, commit.added, "added"),
        (FILES_REMOVED, commit.removed, "removed"),
    ):
        for name in names:
            if name in told and told[name] != len(paths):
                yield f"tells of {told[name]} files {word}, and {word} {len(paths)}"
    if commit.written is not None and (wanted := _told_written(commit)) not in (None, commit.written):
        yield f"tells of {wanted} rows written, and its files hold {commit.written}"
    if commit.before is None or commit.after is None:
        return
    grown = commit.after - commit.before
    if commit.operation in SAME_ROWS and grown:
        yield f"leaves {commit.after} rows where there were {commit.before}"
    if commit.operation == "MERGE" and "numTargetRowsInserted" in told:
        wanted = told["numTargetRowsInserted"] - told.get("numTargetRowsDeleted", 0)
        if wanted != grown:
            yield f"tells of {wanted} rows more, and there are {grown} more"
    if commit.operation == "DELETE" and told.get("numDeletedRows", -grown) != -grown:
        yield f"tells of {told['numDeletedRows']} rows deleted, and there are {-grown} fewer"


def _told_written(commit: Commit) -> int | None:
    """The rows in new files by a commit's metrics; None where they don't say."""
    told = commit.metrics
    if commit.operation in WRITES or commit.operation == "MERGE":
        return told.get("numOutputRows")
    if commit.operation == "UPDATE" and "numUpdatedRows" in told:
        return told["numUpdatedRows"] + told.get("numCopiedRows", 0)
    return None


def _merge_problem(path: Path, commit: Commit) -> str | None:
    """Whether a MERGE changed more rows than it tells of; telling of more is right where a row was updated to what it was."""
    if commit.before is None or commit.after is None:
        return None
    before, after = (_content(path, version) for version in (commit.version - 1, commit.version))
    told = commit.metrics
    updated = told.get("numTargetRowsUpdated", 0)
    came, went = (after - before).total(), (before - after).total()
    if came > told.get("numTargetRowsInserted", 0) + updated:
        return f"tells of {told.get('numTargetRowsInserted', 0) + updated} rows inserted or updated, and {came} are new"
    if went > told.get("numTargetRowsDeleted", 0) + updated:
        return f"tells of {told.get('numTargetRowsDeleted', 0) + updated} rows updated or deleted, and {went} are gone"
    return None


def _content(path: Path, version: int) -> Counter[int]:
    """The rows of a version as a multiset of hashes; a column that is null in a row counts as one that is not there."""
    rows = _table(path, version)
    if not rows.num_rows:
        return Counter()
    total = 0
    for name in sorted(rows.column_names):
        text = (
            rows[name].cast(pa.string())
            if _is_plain(rows[name].type)
            else pa.array(map(repr, rows[name].to_pylist()))
        )
        values = text.to_pandas()
        hashed = pd.util.hash_array((name + "=" + values.fillna("")).to_numpy(dtype=object), categorize=False)
        total = total + hashed * values.notna().to_numpy().astype("uint64")
    return Counter(total.tolist())  # type: ignore[attr-defined]


def _table(path: Path, version: int) -> pa.Table:
    table = DeltaTable(path, version=version)
    rows = pa.table(QueryBuilder().register("content", table).execute("SELECT * FROM content").read_all())
    return rows.rename_columns([name.lower() for name in rows.column_names])


def _files(path: Path, version: int) -> list[str]:
    """The files of a version as delta-rs has them, which begins at the newest checkpoint before it."""
    return list(pa.table(DeltaTable(path, version=version).get_add_actions(flatten=True))["path"].to_pylist())


def _checkpoints(path: Path) -> set[int]:
    return {int(file.name[:20]) for file in (path / "_delta_log").glob("*.checkpoint*.parquet")}


def _is_plain(kind: pa.DataType) -> bool:
    return not pa.types.is_nested(kind) and not pa.types.is_binary(kind)


def _rows(path: Path, files: Mapping[str, int] | None, count: Callable[[Path], int | None]) -> int | None:
    """The rows of these files less what their deletion vectors take out; None if a file is gone or nobody knows which they are."""
    if files is None:
        return None
    counted = {name: count(path / name) for name in files}
    if any(rows is None for rows in counted.values()):
        return None
    return sum((rows or 0) - files[name] for name, rows in counted.items())


def _footer_rows(file: Path) -> int | None:
    """The rows of a Parquet file by its footer, without which none of them could be read; None if it is gone."""
    try:
        return int(pq.read_metadata(file).num_rows)
    except (OSError, pa.ArrowInvalid):
        return None


def _vector(add: Mapping[str, Any]) -> int:
    """How many rows an add action's deletion vector takes out."""
    return int((add.get("deletionVector") or {}).get("cardinality", 0))
