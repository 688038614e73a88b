"""Digests of tabular content: equal for equal rows, whatever the order of rows and columns, files or engine."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.types as types

# Sums of the same numbers in another order differ in the last bits; a value that lies on a rounding border would fall to either
# side. Money lies there often (half a cent), so values are moved by less than any two of them are apart.
OFF_BORDER = 1 + 1e-10
WHOLE = 2**53  # beyond it float64 skips whole numbers


def of_table(table: pa.Table, digits: int) -> str:
    """SHA-256 of a table's rows as a multiset; column names count, as Spark compares them; their case and order do not.

    Floating-point values count to so many significant digits; a column of whole floats equals one of integers.
    """
    total = np.zeros(table.num_rows, dtype=np.uint64)
    order = sorted(range(table.num_columns), key=lambda place: table.column_names[place].lower())
    names = [table.column_names[column].lower() for column in order]
    for place, column in enumerate(order):
        hashed = _hashes(table.column(column).combine_chunks(), digits)
        with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is meant
            total += _mix(hashed + np.uint64(place + 1) * np.uint64(0x9E3779B97F4A7C15))
    rows = _mix(total)
    with np.errstate(over="ignore"):
        summed = [
            int(np.sum(rows, dtype=np.uint64)),
            int(np.sum(_mix(rows ^ np.uint64(0xA5)), dtype=np.uint64)),
        ]
    return hashlib.sha256(json.dumps([names, table.num_rows, summed]).encode()).hexdigest()


def significant(values: npt.NDArray[np.float64], digits: int) -> npt.NDArray[np.float64]:
    """Values rounded to so many significant digits; zeros, infinities and NaN stay."""
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = values * OFF_BORDER
        power = digits - 1 - np.floor(np.log10(np.abs(moved)))
        rounded = np.round(moved * 10.0**power) / 10.0**power
    return np.where(np.isfinite(rounded), rounded, values)


def _hashes(column: pa.Array, digits: int) -> npt.NDArray[np.uint64]:
    kind = column.type
    if types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    missing = np.asarray(column.is_null())
    if types.is_decimal(kind):
        column, kind = column.cast(pa.float64()), pa.float64()
    if types.is_floating(kind):
        numbers = column.cast(pa.float64()).fill_null(0.0).to_numpy(zero_copy_only=False)
        whole = bool(np.all((numbers == np.round(numbers)) & (np.abs(numbers) < WHOLE)))
        hashed = pd.util.hash_array(numbers if whole else significant(numbers, digits))
    elif types.is_integer(kind) or types.is_boolean(kind):
        hashed = pd.util.hash_array(
            column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False).astype(np.float64)
        )
    elif types.is_timestamp(kind):
        zoneless = column.cast(pa.timestamp("us", kind.tz)).cast(pa.int64())
        hashed = pd.util.hash_array(zoneless.fill_null(0).to_numpy(zero_copy_only=False))
    elif types.is_date(kind):
        hashed = pd.util.hash_array(
            column.cast(pa.date32()).cast(pa.int32()).fill_null(0).to_numpy(zero_copy_only=False)
        )
    else:
        text = (
            column.cast(pa.string()).fill_null("")
            if types.is_string(kind) or types.is_large_string(kind)
            else _json(column)
        )
        hashed = pd.util.hash_array(text.to_numpy(zero_copy_only=False).astype(object), categorize=True)
    return np.where(missing, np.uint64(1), hashed)


def _json(column: pa.Array) -> pa.Array:
    return pa.array(
        [json.dumps(value, sort_keys=True, default=str) for value in column.to_pylist()], pa.string()
    )


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """splitmix64's finalizer (Steele, Lea and Flood 2014): spreads a change of one bit over all of them."""
    with np.errstate(over="ignore"):
        z = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
