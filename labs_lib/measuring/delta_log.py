"""Facts of a Delta table from its log alone, read with delta-rs: milliseconds, no JVM."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder
from deltalake.exceptions import DeltaError

from labs_lib.errors import LabsError


@dataclass(frozen=True)
class TableFacts:
    """A table's current state and its past. `history` is newest first; sizes in bytes; columns in small letters, as in `content`."""

    version: int
    columns: tuple[str, ...]
    partition_columns: tuple[str, ...]
    clustering_columns: tuple[str, ...]
    properties: dict[str, str]
    files: int
    size: int
    rows: int
    history: tuple[dict[str, Any], ...]

    def operations(self, name: str) -> list[dict[str, Any]]:
        """The commits of one operation, such as `OPTIMIZE`, newest first."""
        return [commit for commit in self.history if commit.get("operation") == name]


def read(path: Path) -> TableFacts:
    """Facts of the Delta table in that folder. Raises LabsError if there is none or it can't be read."""
    table = open_table(path)
    files = pa.table(table.get_add_actions(flatten=True))
    return TableFacts(
        version=table.version(),
        columns=tuple(field.name.lower() for field in table.schema().fields),
        partition_columns=tuple(name.lower() for name in table.metadata().partition_columns),
        clustering_columns=_clustering_columns(path),
        properties=dict(table.metadata().configuration),
        files=files.num_rows,
        size=sum(files["size_bytes"].to_pylist()),
        rows=sum(count or 0 for count in files["num_records"].to_pylist()),
        history=tuple(table.history()),
    )


def has_its_files(path: Path, version: int) -> bool:
    """Whether every data file of one version of a table is on disk, so that time travel can read it."""
    try:
        uris = DeltaTable(path, version=version).file_uris()
    except (DeltaError, OSError):
        return False
    return all(Path(unquote(urlsplit(uri).path) if "://" in uri else uri).is_file() for uri in uris)


def file_ranges(path: Path, column: str) -> list[tuple[Any, Any]]:
    """Minimum and maximum of a column in each data file, as data skipping sees them; sorted.

    Raises LabsError if the table has no statistics for that column.
    """
    files = pa.table(open_table(path).get_add_actions(flatten=True))
    files = files.rename_columns([name.lower() for name in files.column_names])
    low, high = f"min.{column.lower()}", f"max.{column.lower()}"
    if low not in files.column_names:
        raise LabsError(f"{path.name} keeps no statistics for {column!r}, so files can't be skipped by it.")
    pairs = zip(files[low].to_pylist(), files[high].to_pylist(), strict=True)
    return sorted(pair for pair in pairs if None not in pair)  # a file of nulls alone covers nothing


def content(path: Path) -> pa.Table:
    """All rows of a table's newest version, deletion vectors applied. Raises LabsError if it can't be read.

    Column names are in small letters: Spark doesn't tell `Product_ID` from `product_id`, and so no check may.
    """
    table = open_table(path)
    try:
        rows = QueryBuilder().register("content", table).execute("SELECT * FROM content").read_all()
        read = pa.table(rows)
        return read.rename_columns([name.lower() for name in read.column_names])
    except (DeltaError, OSError) as error:
        raise _unreadable(path, error) from None


def open_table(path: Path) -> DeltaTable:
    """The table in that folder at its newest version. Raises LabsError if there is none or it can't be read."""
    try:
        return DeltaTable(path)
    except (DeltaError, OSError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> LabsError:
    return LabsError(
        f"{path.name} can't be read as a Delta table: {(str(error).splitlines() or ['no reason given'])[0][:200]}"
    )


def _clustering_columns(path: Path) -> tuple[str, ...]:
    """The columns in the newest `delta.clustering` domain, which delta-rs does not show (Delta protocol, "Clustered Table")."""
    for commit in sorted((path / "_delta_log").glob("*.json"), reverse=True):
        for line in commit.read_text().splitlines():
            domain = json.loads(line).get("domainMetadata")
            if domain and domain["domain"] == "delta.clustering":
                if domain.get("removed"):
                    return ()
                columns = json.loads(domain["configuration"])["clusteringColumns"]
                return tuple(
                    (".".join(column) if isinstance(column, list) else column).lower() for column in columns
                )
    return ()
