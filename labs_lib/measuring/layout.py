"""How well a Delta table's layout serves a log of queries: which files data skipping leaves for each of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

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

    Goes by each file's minimum and maximum in the Delta log and its partition values, which is what data skipping goes by.
    A column without statistics skips nothing. Raises LabsError if the table can't be read.
    """
    files = pa.table(delta_log.open_table(folder).get_add_actions(flatten=True)).to_pandas()
    if files.empty:
        return 1.0
    bounds = {column: _bounds(files, column) for text in queries for column in predicates(text)}
    total = 0.0
    for text in queries:
        wanted = np.ones(len(files), dtype=np.bool_)
        for column, (low, high) in predicates(text).items():
            lows, highs = bounds[column]
            if lows is not None and highs is not None:
                wanted &= (lows <= high) & (highs >= low)
        total += float(wanted.mean())
    return total / len(queries)


def _bounds(files: pd.DataFrame, column: str) -> tuple[Any, Any]:
    if f"partition.{column}" in files:
        values = files[f"partition.{column}"].to_numpy()
        return values, values
    if f"min.{column}" in files and files[f"min.{column}"].notna().all():
        return files[f"min.{column}"].to_numpy(), files[f"max.{column}"].to_numpy()
    return None, None
