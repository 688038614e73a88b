"""How well a Delta table's layout serves a log of queries: which files data skipping leaves for each of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from labs_lib.errors import LabsError, first_line
from labs_lib.measuring import delta_log

Predicates = Mapping[str, tuple[Any, Any]]  # column → lowest and highest value that the query wants
_EQUAL = re.compile(r"(\w+) = (\d+)")
_BETWEEN = re.compile(r"(\w+) BETWEEN DATE'(\d{4}-\d\d-\d\d)' AND DATE'(\d{4}-\d\d-\d\d)'")


def predicates(sql_text: str) -> Predicates:
    """The filters of a query of the course's query log: `column = number`, `column BETWEEN DATE'…' AND DATE'…'`."""
    where = sql_text.partition(" WHERE ")[2]
    equal = {column: (int(value), int(value)) for column, value in _EQUAL.findall(where)}
    between = {
        column: (date.fromisoformat(low), date.fromisoformat(high))
        for column, low, high in _BETWEEN.findall(where)
    }
    return equal | between


def leading_columns(queries: Iterable[str], but: Sequence[str] = ()) -> list[str]:
    """Filter columns by how many queries use them, most used first; without those in `but`."""
    counted = pd.Series(
        [column for text in queries for column in predicates(text) if column not in but]
    ).value_counts()
    return [str(column) for column in counted.index]


def files_opened(folder: Path, queries: Sequence[str]) -> float:
    """Share of a table's files that a query of that log has to open, on average over the log: 0 to 1.

    Goes by each file's minimum and maximum in the Delta log and its partition values, which is what data skipping goes by, once they are
    held against the rows: a writer can put any numbers there, and into a Parquet file's footer as well. A column without statistics skips
    nothing. Raises LabsError if the table can't be read, or if the log says of a file that it holds less than it does.
    """
    table = delta_log.open_table(folder)
    files = pa.table(table.get_add_actions(flatten=True)).to_pandas()
    files.columns = files.columns.str.lower()
    if files.empty:
        return 1.0
    bounds = {column: _bounds(files, column) for text in queries for column in predicates(text)}
    claimed = [each for each in bounds if f"partition.{each}" not in files and bounds[each][0] is not None]
    try:
        kept = _kept_rows(table)
        for place, path in enumerate(_file(folder, path) for path in files["path"]):
            real = _real_bounds(path, claimed, kept.get(path))
            for column in claimed:
                low, high = (side[place] for side in bounds[column])
                if column in real and not (low <= real[column][0] and real[column][1] <= high):
                    raise LabsError(
                        f"The statistics of {folder.name} and its rows contradict each other: the log says that {column} goes from {low} "
                        f"to {high} in a file, and in its rows it goes from {real[column][0]} to {real[column][1]}."
                    )
    except (DeltaError, OSError, pa.ArrowException) as error:
        raise LabsError(f"The files of {folder.name} can't be read: {first_line(error)}") from None
    total = 0.0
    for text in queries:
        wanted = np.ones(len(files), dtype=np.bool_)
        for column, (low, high) in predicates(text).items():
            lows, highs = bounds[column]
            if lows is not None and highs is not None:
                wanted &= (lows <= high) & (highs >= low)
        total += float(wanted.mean())
    return total / len(queries)


def _file(folder: Path, path: str) -> Path:
    """Where a data file is, given its path or address in a log."""
    return folder / unquote(urlsplit(path).path if "://" in path else path)


def _kept_rows(table: DeltaTable) -> dict[Path, list[bool]]:
    """For each file with a deletion vector, which of its rows are still there."""
    vectors = pa.table(table.deletion_vectors().read_all()).to_pylist()
    return {_file(Path(), each["filepath"]): each["selection_vector"] for each in vectors}


def _real_bounds(
    file: Path, columns: Sequence[str], kept: Sequence[bool] | None
) -> dict[str, tuple[Any, Any]]:
    """Lowest and highest value of each column in a file's rows, but for columns of nulls.

    Raises OSError or ArrowException if the file can't be read, LabsError if it has no column of that name.
    """
    found: dict[str, tuple[Any, Any]] = {}
    if not columns:
        return found
    begin = 0
    with pq.ParquetFile(file) as opened:
        names = {name.lower(): name for name in opened.schema_arrow.names}
        for column in set(columns) - names.keys():
            raise LabsError(
                f"{file.parent.name} keeps statistics of {column}, and a file of it has no column of that name."
            )
        for batch in opened.iter_batches(columns=[names[column] for column in columns]):
            rows = batch
            if kept is not None:
                rows = batch.filter(pa.array(kept[begin : begin + batch.num_rows]))
            begin += batch.num_rows
            for column in columns:
                low, high = pc.min_max(rows[names[column]]).values()
                if low.is_valid:
                    seen = [low.as_py(), high.as_py(), *found.get(column, ())]
                    found[column] = (min(seen), max(seen))
    return found


def _bounds(files: pd.DataFrame, column: str) -> tuple[Any, Any]:
    if f"partition.{column}" in files:
        values = files[f"partition.{column}"].to_numpy()
        return values, values
    if f"min.{column}" in files and files[f"min.{column}"].notna().all():
        return files[f"min.{column}"].to_numpy(), files[f"max.{column}"].to_numpy()
    return None, None
