"""Right answers in other clothes than the solution's, and names of Python's that a notebook hides. Without Spark."""

from __future__ import annotations

import builtins
import functools
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from labs_lib.checking import digest, hidden_names
from labs_lib.checking.evidence import Unusable, _value, plain
from labs_lib.measuring import delta_log
from labs_lib.registry import Answer


def test_names_count_as_spark_compares_them() -> None:
    small = pa.table({"product_id": [1, 2], "lines": [3, 4]})
    capitals = pa.table({"LINES": [3, 4], "Product_ID": [1, 2]})
    assert digest.of_table(small, 6) == digest.of_table(capitals, 6)
    other = pa.table({"product_id": [3, 4], "lines": [1, 2]})
    assert digest.of_table(small, 6) != digest.of_table(other, 6)


def test_a_tables_columns_are_read_in_small_letters(tmp_path: Path) -> None:
    rows = pa.table({"Store_ID": [1, 2], "DAY": ["a", "b"]})
    write_deltalake(tmp_path / "t", rows, partition_by=["DAY"])
    facts = delta_log.read(tmp_path / "t")
    assert (facts.columns, facts.partition_columns) == (("store_id", "day"), ("day",))
    assert set(delta_log.content(tmp_path / "t").column_names) == {"store_id", "day"}
    assert delta_log.file_ranges(tmp_path / "t", "store_ID") == [(1, 1), (2, 2)]


def answer(kind: str) -> Answer:
    return Answer("it", "value", kind)


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        ("float", Decimal("0.25"), 0.25),
        ("int", Decimal("7"), 7),
        ("int", 7.0, 7),
        ("int", np.float64(7), 7),
        ("float", np.float32(0.5), 0.5),
        ("rows", pd.DataFrame({"Night": [1], "Note": [float("nan")]}), [{"night": 1, "note": None}]),
        ("rows", [{"n": Decimal("1.5"), "x": float("inf")}], [{"n": 1.5, "x": "inf"}]),
        (
            "rows",
            pd.DataFrame({"n": pd.array([1, None], dtype="Int64"), "t": [pd.NaT, pd.NaT]}),
            [{"n": 1, "t": None}, {"n": None, "t": None}],
        ),
    ],
)
def test_a_right_value_in_another_type_is_taken(kind: str, value: Any, kept: Any) -> None:
    assert _value(answer(kind), value) == kept


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("-inf"), Decimal("sNaN"), Decimal("1e999999"), np.float64("inf"), pd.NA, pd.NaT],
)
def test_what_is_no_number_is_no_answer(value: Any) -> None:
    with pytest.raises(Unusable, match="no number to work with"):
        plain(value)


def test_half_a_file_is_no_whole_number() -> None:
    with pytest.raises(Unusable, match="should be of type int; it is of type float"):
        _value(answer("int"), 7.5)


def test_the_card_names_what_hides_pythons_names() -> None:
    wrapped = functools.wraps(open)(lambda: None)  # as IPython gives it to a notebook
    names: dict[str, Any] = {"rows": 3, "__name__": "x", "open": wrapped, "range": range}
    assert hidden_names.sentence(names) == ""
    exec("from pyspark.sql.functions import *", names)
    told = hidden_names.sentence(names)
    own = {name: value for name, value in names.items() if value is not wrapped}
    hidden = {name for name in dir(builtins) if name in own and own[name] is not getattr(builtins, name)}
    assert {"max", "min", "sum", "round", "abs", "filter", "hash"} <= hidden - {"__name__"}
    assert all(f"`{name}`" in told for name in hidden if not name.startswith("_"))
    assert "from pyspark.sql.functions" in told and "`range`" not in told
    assert hidden_names.sentence({"list": [1]}).startswith("`list` is a variable of this notebook and hides")
