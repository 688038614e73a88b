"""Digests of content, plans as trees, layouts by their log, tables with a past: the parts that checks rest on."""

from __future__ import annotations

import base64
import datetime
import json
import struct
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from labs_lib.checking import digest
from labs_lib.checking.pipeline_source import datasets
from labs_lib.errors import LabsError
from labs_lib.measuring import delta_log, layout, plans
from labs_lib.measuring.plots import describe, figure
from labs_lib.optimization import past
from labs_lib.optimization.checks.exercise_1a import size

SALES = pa.table({"day": [1, 2, 3], "sales": [12345.65, 0.1, None], "shop": ["a", None, "c"]})


def changed(**columns: list[object]) -> pa.Table:
    return pa.table({**SALES.to_pydict(), **columns})


def test_a_digest_knows_rows_by_their_values_alone() -> None:
    same = SALES.select(["shop", "sales", "day"]).take([2, 0, 1])
    assert digest.of_table(same, 6) == digest.of_table(SALES, 6)
    chunked = pa.concat_tables([SALES.slice(0, 1), SALES.slice(1)])
    assert digest.of_table(chunked, 6) == digest.of_table(SALES, 6)
    whole = pa.table(
        {"day": pa.array([1.0, 2.0, 3.0]), "sales": SALES["sales"], "shop": SALES["shop"].dictionary_encode()}
    )
    assert digest.of_table(whole, 6) == digest.of_table(SALES, 6)
    exact = pa.table({**SALES.to_pydict(), "sales": [Decimal("12345.65"), Decimal("0.10"), None]})
    assert digest.of_table(exact, 6) == digest.of_table(SALES, 6)


@pytest.mark.parametrize(
    "other",
    [
        changed(day=[1, 2, 4]),
        changed(sales=[12345.75, 0.1, None]),
        changed(sales=[12345.65, 0.1, 0.0]),
        changed(shop=["a", "", "c"]),
        changed(shop=["c", None, "a"]),
        SALES.rename_columns(["tag", "sales", "shop"]),
        pa.concat_tables([SALES, SALES.slice(0, 1)]),
        SALES.slice(1),
        SALES.append_column("more", pa.array([1, 1, 1])),
    ],
)
def test_a_digest_sees_every_change(other: pa.Table) -> None:
    assert digest.of_table(other, 6) != digest.of_table(SALES, 6)


def test_sums_in_another_order_have_the_same_digest_even_on_a_rounding_border() -> None:
    # Half a cent at the sixth digit, approached from both sides as sums of the same numbers do.
    values = np.array([12345.65, 98765.45, 1000.005, 0.1234565])
    up, down = np.nextafter(values, np.inf), np.nextafter(values, -np.inf)
    digests = {digest.of_table(pa.table({"sales": each}), 6) for each in (values, up, down)}
    assert len(digests) == 1


PLAN = """== Parsed Logical Plan ==
ignored
== Physical Plan ==
AdaptiveSparkPlan isFinalPlan=false
+- HashAggregate(keys=[k#1], functions=[count(1)])
   +- SortMergeJoin [a#1, b#2L], [a#3, b#4L], Inner
      :- Sort [a#1 ASC NULLS FIRST], false, 0
      :  +- Exchange hashpartitioning(a#1, b#2L, 4), ENSURE_REQUIREMENTS, [plan_id=7]
      :     +- *(1) FileScan parquet spark_catalog.lab.sales[a#1,b#2L] Batched: true, Location: x
      +- BroadcastExchange IdentityBroadcastMode, [plan_id=9]
         +- FileScan parquet spark_catalog.lab.shops[a#3,b#4L] Batched: true


"""


def test_a_plan_is_a_tree() -> None:
    plan = plans.parse(PLAN)
    (join,) = plan.named("SortMergeJoin")
    assert join.keys == ("a", "b")
    assert [child.name for child in join.children] == ["Sort", "BroadcastExchange"]
    names = [operator.name for operator in plan.path_to("sales")]
    assert names == ["AdaptiveSparkPlan", "HashAggregate", "SortMergeJoin", "Sort", "Exchange", "FileScan"]
    assert plan.path_to("sale") == plan.path_to("lab") == []
    outline = plans.outline(plan)
    assert "#" not in outline and "plan_id" not in outline
    assert (
        "├─ Sort" in outline
        and "Exchange hashpartitioning(a, b, 4)" in outline
        and "FileScan sales [a, b]" in outline
    )
    with pytest.raises(ValueError, match="no physical plan"):
        plans.parse("nothing here")


def test_files_opened_follows_the_ranges_in_the_log(tmp_path: Path) -> None:
    for start in (0, 10, 20, 30):
        days = [datetime.date(2017, 1, 1) + datetime.timedelta(days=start + n) for n in range(10)]
        write_deltalake(tmp_path, pa.table({"id": range(start, start + 10), "day": days}), mode="append")
    one = "SELECT count(*) FROM t WHERE id = 5"
    two = "SELECT count(*) FROM t WHERE day BETWEEN DATE'2017-01-05' AND DATE'2017-01-15' GROUP BY id"
    none = "SELECT count(*) FROM t WHERE id = 5 AND day BETWEEN DATE'2017-02-01' AND DATE'2017-02-02'"
    assert [layout.files_opened(tmp_path, [text]) for text in (one, two, none)] == [0.25, 0.5, 0]
    assert layout.files_opened(tmp_path, [one, two]) == pytest.approx(0.375)
    assert layout.files_opened(tmp_path, ["SELECT 1 FROM t WHERE unknown = 5"]) == 1
    assert layout.leading_columns([one, none, two], but=("day",)) == ["id"]


def rewrite_log(table: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change each add action in a table's commits, as a notebook can by hand."""
    for commit in (table / "_delta_log").glob("*.json"):
        actions = [json.loads(line) for line in commit.read_text().splitlines()]
        for action in actions:
            if "add" in action:
                change(action["add"])
        commit.write_text("\n".join(map(json.dumps, actions)))


def claims(low: int, high: int) -> Callable[[dict[str, Any]], None]:
    def change(add: dict[str, Any]) -> None:
        stats = json.loads(add["stats"])
        stats["minValues"]["id"], stats["maxValues"]["id"] = low, high
        add["stats"] = json.dumps(stats)

    return change


SPREAD = "SELECT count(*) FROM t WHERE id = 5"


def test_a_log_that_claims_narrow_files_is_held_against_their_rows(tmp_path: Path) -> None:
    """Also where the Parquet file's own footer claims the same: rows of that file count, not what is written about them."""
    write_deltalake(tmp_path, pa.table({"id": [1, 5, 900], "day": [datetime.date(2017, 1, 1)] * 3}))
    assert layout.files_opened(tmp_path, [SPREAD]) == 1
    rewrite_log(tmp_path, claims(0, 1000))
    assert layout.files_opened(tmp_path, [SPREAD]) == 1  # wider than it is: skips less, as the engine would
    for low, high in ((6, 900), (1, 4), (2, 899)):
        rewrite_log(tmp_path, claims(low, high))
        with pytest.raises(
            LabsError,
            match=f"contradict each other: the log says that id goes from {low} to {high} in a file, and in its rows it goes from 1 to 900",
        ):
            layout.files_opened(tmp_path, [SPREAD])
    (file,) = tmp_path.glob("*.parquet")
    pq.write_table(pq.read_table(file), file, write_statistics=False)
    with pytest.raises(LabsError, match="contradict each other"):
        layout.files_opened(tmp_path, [SPREAD])
    pq.write_table(pq.read_table(file).rename_columns(["other", "day"]), file)
    with pytest.raises(
        LabsError, match="keeps statistics of id, and a file of it has no column of that name"
    ):
        layout.files_opened(tmp_path, [SPREAD])
    file.write_bytes(b"PAR1")
    with pytest.raises(LabsError, match="can't be read"):
        layout.files_opened(tmp_path, [SPREAD])


def inline_vector(rows: list[int]) -> dict[str, Any]:
    """A deletion vector for rows below 65,536, in the log itself (Delta protocol, "Deletion Vector Format"; Roaring's portable form)."""
    bitmap = struct.pack("<IIHHI", 12346, 1, 0, len(rows) - 1, 16) + struct.pack(f"<{len(rows)}H", *rows)
    data = struct.pack("<iQI", 1681511377, 1, 0) + bitmap
    data += bytes(-len(data) % 4)
    python = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
    z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
    text = base64.b85encode(data).decode().translate(str.maketrans(python, z85))
    return {"storageType": "i", "pathOrInlineDv": text, "sizeInBytes": len(data), "cardinality": len(rows)}


def test_rows_that_a_deletion_vector_takes_out_count_no_more(tmp_path: Path) -> None:
    write_deltalake(tmp_path, pa.table({"id": [1, 5, 900], "day": [datetime.date(2017, 1, 1)] * 3}))
    first = tmp_path / "_delta_log" / f"{0:020}.json"
    actions = [json.loads(line) for line in first.read_text().splitlines()]
    for action in actions:
        if "protocol" in action:
            features = {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}
            action["protocol"] = {"minReaderVersion": 3, "minWriterVersion": 7, **features}
        if "add" in action:
            action["add"]["deletionVector"] = inline_vector([0, 1])
    first.write_text("\n".join(map(json.dumps, actions)))
    assert delta_log.content(tmp_path)["id"].to_pylist() == [900]
    rewrite_log(tmp_path, claims(900, 900))
    assert layout.files_opened(tmp_path, [SPREAD]) == 0
    rewrite_log(tmp_path, claims(1, 900))  # as a DELETE leaves them
    assert layout.files_opened(tmp_path, [SPREAD]) == 1
    rewrite_log(tmp_path, claims(1, 5))
    with pytest.raises(LabsError, match="in its rows it goes from 900 to 900"):
        layout.files_opened(tmp_path, [SPREAD])


def test_a_table_with_a_past_has_it_in_all_three_clocks(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    past.write(folder, [pa.table({"n": [1]}), pa.table({"n": [2]}), pa.table({"n": [3]})], [20, 10, 1])
    ages = [
        (time.time() * 1000 - commit["timestamp"]) / 86_400_000
        for commit in reversed(DeltaTable(folder).history())
    ]
    assert [round(age) for age in ages] == [20, 10, 1]
    files = sorted((time.time() - file.stat().st_mtime) / 86_400 for file in folder.glob("*.parquet"))
    assert [round(age) for age in files] == [1, 10, 20]
    assert delta_log.content(folder)["n"].to_pylist() == [3]
    assert [delta_log.has_its_files(folder, version) for version in range(4)] == [True, True, True, False]
    with pytest.raises(ValueError, match="the oldest first"):
        past.write(folder, [pa.table({"n": [1]})] * 2, [1, 2])


def test_the_log_names_the_newest_clustering_columns_and_what_a_file_covers(tmp_path: Path) -> None:
    write_deltalake(tmp_path, pa.table({"n": [3, 1, 2], "nothing": pa.nulls(3, pa.int64())}))
    assert delta_log.file_ranges(tmp_path, "n") == [(1, 3)]
    facts = delta_log.read(tmp_path)
    assert (facts.files, facts.rows, facts.clustering_columns) == (1, 3, ())
    assert [commit["operation"] for commit in facts.history] == ["WRITE"]


def test_a_plot_is_described_by_what_it_shows() -> None:
    drawn, (axis,) = figure()
    axis.barh(["a", "b"], [1.23456, 2])
    assert "a: 1.235" in describe(drawn) and "b: 2" in describe(drawn)
    axis.containers[0].patches[1].set_width(3)  # type: ignore[attr-defined]
    assert "b: 3" in describe(drawn)


def test_a_plot_that_varies_is_described_by_which_bar_is_longer() -> None:
    said = []
    for width in (2.0, 2.1, 1.0):
        drawn, (axis,) = figure()
        axis.barh(["a", "b"], [1.5, width])
        said.append(describe(drawn, exact=False))
    assert said[0] == said[1] != said[2]
    assert "b: number 1 by length" in said[0] and "b: number 2 by length" in said[2]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("10485760b", 10 * 2**20),
        ("10MB", 10 * 2**20),
        ("3g", 3 * 2**30),
        (" 512 ", 512),
        ("-1", 0),
        ("large", 0),
        ("", 0),
    ],
)
def test_sizes_as_spark_writes_them(text: str, number: int) -> None:
    assert size(text) == number


def test_a_pipelines_datasets_are_found_by_decorator_or_call() -> None:
    views = "@dp.materialized_view\ndef a(): ...\n@materialized_view(name='c')\ndef b(): ...\n"
    tables = "@dp.table\ndef d(): ...\n@table('e')\ndef f(): ...\ndp.create_streaming_table('g')\n"
    assert datasets(views + tables, "materialized_view") == ["a", "c"]
    assert datasets(views + tables, "table", "create_streaming_table") == ["d", "e", "g"]
    called = "def h(): ...\ndef i(): ...\ndp.table(h)\ndp.table(name='k')(i)\nj = 'sales'\nspark.table(j)\nspark.table('sales')\n"
    assert datasets(called, "table", "create_streaming_table") == ["h", "k"]
    assert datasets("def broken(", "table") == []
