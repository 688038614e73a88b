"""Another draw of a table keeps the keys of its rows and nothing that a notebook could have known of them."""

from __future__ import annotations

import base64
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyspark.sql.connect.proto as proto
import pytest
from deltalake import DeltaTable, QueryBuilder, write_deltalake

from grader.judging import redrawn


def rows_of(path: Path) -> pa.Table:
    rows = QueryBuilder().register("it", DeltaTable(path)).execute("SELECT * FROM it").read_all()
    return pa.table(rows)


def test_keys_stay_together_and_amounts_are_dealt_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redrawn, "ROWS", 500)
    numbers = pa.array(range(100), pa.int32())
    whole = pa.table({"product": numbers, "week": numbers, "sales": pa.array([n / 4 for n in range(100)])})
    write_deltalake(tmp_path / "sales", whole.slice(0, 60))
    write_deltalake(tmp_path / "sales", whole.slice(60), mode="append")
    for place in ("one", "other"):
        redrawn.redraw(tmp_path / "sales", tmp_path / place)
    one, other = rows_of(tmp_path / "one"), rows_of(tmp_path / "other")
    assert one.num_rows == 500 and one.schema.names == whole.schema.names
    assert one["product"] == one["week"]
    assert Counter(one["product"].to_pylist()) == Counter(
        int(4 * value) for value in one["sales"].to_pylist()
    )
    assert one["product"].to_pylist() != [int(4 * value) for value in one["sales"].to_pylist()]
    assert Counter(one["product"].to_pylist()) != Counter(other["product"].to_pylist())


def plan(table: str, first: int, line: str) -> str:
    """A filter over a table, numbered from `first` on and made in a line of code."""
    message = proto.Plan()
    relation = message.root
    relation.common.plan_id = first
    relation.filter.input.common.plan_id = first + 7
    relation.filter.input.read.named_table.unparsed_identifier = table
    condition = relation.filter.condition
    condition.unresolved_attribute.unparsed_identifier = "week"
    condition.unresolved_attribute.plan_id = first + 7
    condition.common.origin.python_origin.call_site = line
    return base64.b64encode(message.SerializeToString()).decode()


def test_the_same_code_has_the_same_shape_each_time_that_it_runs() -> None:
    assert redrawn.shape(plan("sales", 3, "cell 1")) == redrawn.shape(plan("sales", 90, "cell 8"))
    assert redrawn.shape(plan("sales", 3, "cell 1")) != redrawn.shape(plan("returns", 3, "cell 1"))
