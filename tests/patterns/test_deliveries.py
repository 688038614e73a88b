"""Deliveries and interleaved writers, on the real engine: each failure happens where it should, in every run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from pyspark.sql.connect.dataframe import DataFrame

from labs_lib.errors import LabsError
from labs_lib.lab import Lab, open_lab
from labs_lib.measuring import delta_log
from labs_lib.patterns.deliveries import play_deliveries
from labs_lib.patterns.feeds.deliveries import BATCHES, COLUMNS, LINES, batches, stores_of
from labs_lib.patterns.writers import interleave

pytestmark = pytest.mark.ledger


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    before = os.environ.get("LABS_WORKSPACE")
    os.environ["LABS_WORKSPACE"] = str(tmp_path_factory.mktemp("deliveries"))
    yield open_lab("02_patterns")
    del os.environ["LABS_WORKSPACE"]
    if before:
        os.environ["LABS_WORKSPACE"] = before


@pytest.mark.parametrize("seed", [0, 7])
def test_batches_are_real_lines_each_with_a_number_of_its_own(seed: int) -> None:
    feed = batches(seed)
    assert list(feed) == [1, 2, 3, 4] and len(feed) == BATCHES
    assert all(tuple(batch.column_names) == COLUMNS and batch.num_rows == LINES for batch in feed.values())
    identifiers = [line for batch in feed.values() for line in batch["line_id"].to_pylist()]
    assert len(set(identifiers)) == BATCHES * LINES
    assert stores_of(feed[2]) - stores_of(feed[1])
    assert not feed[1].equals(batches(seed + 1)[1])


def append(rows: DataFrame) -> None:
    rows.write.mode("append").saveAsTable("met")


def append_four_times(rows: DataFrame) -> None:
    for _ in range(4):
        append(rows.limit(1))


def update(rows: DataFrame) -> None:
    rows.createOrReplaceTempView("incoming")
    merge = (
        "MERGE INTO met t USING incoming b ON t.line_id = b.line_id WHEN MATCHED THEN UPDATE SET quantity = 0"
    )
    rows.sparkSession.sql(merge)


def fail(rows: DataFrame) -> None:
    raise RuntimeError("before any job")


def test_a_slow_writer_meets_what_the_quick_one_committed(lab: Lab) -> None:
    lines = batches(0)[1].slice(0, 10)

    def outcomes(slow: object, quick: object) -> list[str]:
        lab.drop("met")
        lab.spark.createDataFrame(lines).write.saveAsTable("met")
        return [str(outcome) for outcome in interleave(lab, slow, quick, lines)]  # type: ignore[arg-type]

    assert outcomes(append, append_four_times) == ["accepted", "accepted"]
    commits = delta_log.read(lab.path("met")).history
    written = [int(commit["operationMetrics"]["numOutputRows"]) for commit in commits]
    assert written == [10, 1, 1, 1, 1, 10], "the slow one began first and has to commit last"
    slow, quick = outcomes(update, update)
    assert slow.startswith("DELTA_CONCURRENT") and quick == "accepted"
    assert outcomes(fail, append) == ["RuntimeError", "accepted"]
    assert lab.spark.table("met").count() == 20
    with pytest.raises(LabsError, match="`quick`"):
        interleave(lab, append, None, lines)  # type: ignore[arg-type]
    with pytest.raises(LabsError, match="needs rows"):
        interleave(lab, append, append, lines.slice(0, 0))


def test_two_notebooks_interleave_one_after_the_other(lab: Lab) -> None:
    lines, said = batches(0)[1].slice(0, 10), list[str]()

    def call(name: str) -> None:
        def slow(rows: DataFrame) -> None:
            said.append(name)
            rows.count()
            said.append(name)

        interleave(lab, slow, lambda rows: said.append(name), lines)

    with ThreadPoolExecutor(2) as notebooks:
        list(notebooks.map(call, ["first", "second"]))
    assert said in (["first"] * 3 + ["second"] * 3, ["second"] * 3 + ["first"] * 3)


def test_a_refused_batch_comes_again_and_an_accepted_one_does_not(lab: Lab) -> None:
    seen: list[int] = []

    def write(batch: DataFrame, batch_id: int) -> None:
        seen.append(batch_id)
        batch.write.mode("append").saveAsTable("sales_log")
        batch.selectExpr("store_id", "1L AS lines", "sales_value AS sales").write.mode("append").saveAsTable(
            "store_totals"
        )

    told = play_deliveries(lab, write)
    assert seen[:6] == [1, 1, 2, 3, 3, 2] and sorted(seen[6:]) == [4, 4]
    assert list(told["batch"]) == [1, 1, 2, 3, 3, 2, 4, 4]
    refused = told[told.outcome != "accepted"]
    assert list(refused["batch"]) == [2, 3] and all(
        refused.outcome.str.startswith("DELTA_VIOLATE_CONSTRAINT")
    )
    # The crash left batch 2 in one table and not in the other.
    assert lab.spark.table("sales_log").count() == 8 * LINES - LINES
    assert lab.spark.table("store_totals").count() == 6 * LINES


def test_what_can_not_be_delivered_is_said_in_a_sentence(lab: Lab) -> None:
    def broken(batch: DataFrame, batch_id: int) -> None:
        raise NameError("name 'spork' is not defined")

    with pytest.raises(LabsError, match=r"Batch 1 was delivered 3 times.*NameError: name 'spork'"):
        play_deliveries(lab, broken)
    with pytest.raises(LabsError, match="was given str"):
        play_deliveries(lab, "write_batch")  # type: ignore[arg-type]

    def replaces(batch: DataFrame, batch_id: int) -> None:
        batch.sparkSession.sql("CREATE OR REPLACE TABLE store_totals AS SELECT 1 AS other")

    with pytest.raises(LabsError, match="store_totals is not the table that was laid"):
        play_deliveries(lab, replaces)
    assert "closed" not in str(delta_log.read(lab.path("store_totals")).properties)

    def recomputes(batch: DataFrame, batch_id: int) -> None:
        batch.write.mode("append").saveAsTable("sales_log")
        batch.sparkSession.sql(
            "CREATE OR REPLACE TABLE store_totals AS SELECT store_id, count(*) AS lines, sum(sales_value) AS sales "
            "FROM sales_log GROUP BY store_id"
        )

    assert len(play_deliveries(lab, recomputes)) >= 6  # the table's constraint went with the table
