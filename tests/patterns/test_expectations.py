"""Expectations on real Spark: what is counted, kept, dropped, stopped, and what happens on a second try."""

from __future__ import annotations

import functools
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import functions as F

from labs_lib import open_lab, run_pipeline, write_pipeline
from labs_lib.errors import LabsError
from labs_lib.lab import Lab
from labs_lib.measuring import delta_log
from labs_lib.patterns import expectations
from labs_lib.patterns.expectations import (
    ExpectationFailed,
    expect,
    expect_all,
    expect_all_or_drop,
    expect_or_drop,
    expect_or_fail,
    rule_counts,
    rules_of,
    write_checked,
)

pytestmark = pytest.mark.ledger


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    before = os.environ.get("LABS_WORKSPACE")
    os.environ["LABS_WORKSPACE"] = str(tmp_path_factory.mktemp("expectations"))
    opened = open_lab("02_patterns")
    opened.spark.sql("CREATE TABLE numbers AS SELECT id, IF(id % 10 = 0, NULL, id) AS amount FROM range(100)")
    yield opened
    os.environ.pop("LABS_WORKSPACE")
    if before is not None:
        os.environ["LABS_WORKSPACE"] = before


def metrics(lab: Lab, dataset: str, table: str = expectations.METRICS) -> list[tuple[Any, ...]]:
    rows = lab.spark.table(table).where(F.col("dataset") == dataset).orderBy("run", "rule")
    return [
        tuple(row)
        for row in rows.select("run", "rule", "action", "passed_records", "failed_records").collect()
    ]


def test_a_condition_that_is_null_fails_and_every_rule_sees_every_record(lab: Lab) -> None:
    @expect("small", "amount < 50")
    @expect_all_or_drop({"there": "amount IS NOT NULL", "odd": "amount % 2 = 1"})
    @expect_or_fail("counted", "id >= 0")
    def kept() -> Any:
        return lab.spark.table("numbers")

    assert [rule.name for rule in rules_of(kept)] == ["small", "there", "odd", "counted"]
    outcome = write_checked(kept, run=1)
    assert outcome.written
    assert metrics(lab, "kept") == [
        (1, "counted", "fail", 100, 0),
        (1, "odd", "drop", 50, 50),
        (1, "small", "warn", 45, 55),
        (1, "there", "drop", 90, 10),
    ]
    assert lab.spark.table("kept").count() == kept().count() == 50
    assert rule_counts(kept).count() == 4


def test_a_broken_fail_rule_counts_everything_and_leaves_the_target_as_it_was(lab: Lab) -> None:
    @expect_or_fail("low", "id < 90")
    @expect_or_drop("there", "amount IS NOT NULL")
    def stopped() -> Any:
        return lab.spark.table("numbers").where(F.col("id") < limit)

    limit = 50
    write_checked(stopped, run=1)
    history = delta_log.read(lab.path("stopped")).history
    limit = 100
    with pytest.raises(
        ExpectationFailed, match=r"low \(id < 90\) does not hold for 10 of 100 records"
    ) as caught:
        write_checked(stopped, run=2)
    assert [(each.rule, each.failed) for each in caught.value.counts] == [("low", 10), ("there", 10)]
    assert delta_log.read(lab.path("stopped")).history == history
    assert metrics(lab, "stopped")[2:] == [(2, "low", "fail", 90, 10), (2, "there", "drop", 90, 10)]
    with pytest.raises(PySparkException, match="low"):
        stopped().collect()


def test_a_run_that_is_tried_again_is_in_the_target_once(lab: Lab) -> None:
    @expect("there", "amount IS NOT NULL")
    def again() -> Any:
        return lab.spark.table("numbers")

    assert write_checked(again, run=3).written
    assert not write_checked(again, run=3).written
    assert write_checked(again, run=4).written
    assert lab.spark.table("again").count() == 200
    assert metrics(lab, "again") == [(3, "there", "warn", 90, 10), (4, "there", "warn", 90, 10)]
    with pytest.raises(LabsError, match="run numbers go up"):
        write_checked(again, run=2)


def test_a_run_that_comes_again_with_other_records_keeps_its_counts(lab: Lab) -> None:
    rows = [1, 2, 3]

    @expect("low", "n < 3")
    def other() -> Any:
        return lab.spark.createDataFrame([(n,) for n in rows], "n INT")

    assert write_checked(other, run=1).written
    rows.append(4)
    assert not write_checked(other, run=1).written
    assert metrics(lab, "other") == [(1, "low", "warn", 2, 1)]
    assert lab.spark.table("other").count() == 3


def test_a_decorator_around_them_hides_no_rule(lab: Lab) -> None:
    def logged(function: Any) -> Any:
        @functools.wraps(function)
        def call() -> Any:
            return function()

        return call

    @logged
    @expect_or_drop("there", "amount IS NOT NULL")
    def wrapped() -> Any:
        return lab.spark.table("numbers")

    assert [(each.passed, each.failed) for each in write_checked(wrapped, run=1).counts] == [(90, 10)]


def test_what_spark_refuses_is_said_in_a_sentence(lab: Lab) -> None:
    def nowhere() -> Any:
        return lab.spark.table("nowhere")

    def text() -> Any:
        return lab.spark.createDataFrame([("x",)], "n STRING")

    with pytest.raises(LabsError, match="What nowhere returns can't be read"):
        write_checked(expect("rule", "true")(nowhere), run=1)
    with pytest.raises(LabsError, match="The rules of text can't be counted"):
        write_checked(expect("rule", "CAST(n AS INT) > 0")(text), run=1)
    with pytest.raises(LabsError, match="can't be written to numbers"):
        write_checked(expect("rule", "n IS NOT NULL")(text), run=1, target="numbers")
    assert metrics(lab, "text") == metrics(lab, "nowhere") == []


def test_what_is_written_is_what_was_counted(lab: Lab) -> None:
    draw = F.udf(lambda _: random.random(), "double").asNondeterministic()

    @expect_or_drop("high", "drawn > 0.5")
    def drawn() -> Any:  # reading it again would draw again
        return lab.spark.range(1000).select(draw("id").alias("drawn"))

    counts = write_checked(drawn, run=1).counts
    table = lab.spark.table("drawn")
    assert table.count() == counts[0].passed
    assert table.where("drawn <= 0.5").count() == 0


@pytest.mark.parametrize(
    "decorator", [lambda: expect("", "id > 0"), lambda: expect("rule", " "), lambda: expect_all({})]
)
def test_a_rule_that_is_none_is_refused(decorator: Any) -> None:
    with pytest.raises(LabsError, match=r"expectation's (name|condition)|Expectations are a dict"):
        decorator()


def test_bad_use_gets_a_sentence_and_writes_nothing(lab: Lab) -> None:
    def plain() -> Any:
        return lab.spark.table("numbers")

    with pytest.raises(LabsError, match="no expectations"):
        write_checked(plain, run=1)
    with pytest.raises(LabsError, match="unique"):
        expect("rule", "id > 0")(expect("rule", "id > 1")(plain))
    with pytest.raises(LabsError, match="goes above them"):
        expect("rule", "id > 0")(None)  # type: ignore[arg-type]
    for condition in ("nowhere > 0", "amount", "amount >", "sum(amount) > 0"):
        with pytest.raises(LabsError, match="The condition of wrong"):
            write_checked(expect("fine", "id > 0")(expect("wrong", condition)(plain)), run=1)
    good = expect("rule", "id > 0")(plain)
    for options, said in (
        ({"run": 0}, "The run is 0"),
        ({"run": 1, "mode": "merge"}, "`mode`"),
        ({"run": 1, "target": expectations.METRICS}, "a table of their own"),
    ):
        with pytest.raises(LabsError, match=said):
            write_checked(good, **options)
    with pytest.raises(LabsError, match="can't hold metrics"):
        write_checked(good, run=1, metrics="numbers")
    with pytest.raises(LabsError, match="should return a DataFrame"):
        write_checked(expect("rule", "id > 0")(lambda: 1), run=1)  # type: ignore[arg-type,return-value]
    assert not lab.spark.catalog.tableExists("plain")


def test_they_work_in_a_declarative_pipeline(lab: Lab, tmp_path: Path) -> None:
    source = """
    from pyspark import pipelines as dp
    from pyspark.sql import SparkSession
    from labs_lib.patterns.expectations import expect_or_drop, expect_or_fail, rule_counts

    spark = SparkSession.active()

    @expect_or_fail("counted", "id >= 0")
    @expect_or_drop("there", "amount IS NOT NULL")
    def checked():
        return spark.table("numbers")

    dp.materialized_view(name="piped")(checked)

    @dp.materialized_view
    def piped_quality():
        return rule_counts(checked)
    """
    run_pipeline(
        write_pipeline(lab, "checked_numbers", "\n".join(line[4:] for line in source.splitlines())).spec
    )
    assert lab.spark.table("piped").count() == 90
    assert {
        (r.rule, r.passed_records, r.failed_records) for r in lab.spark.table("piped_quality").collect()
    } == {
        ("counted", 100, 0),
        ("there", 90, 10),
    }


def test_a_fail_rule_in_a_pipeline_stops_it_and_only_a_streaming_table_stays_as_it_was(lab: Lab) -> None:
    lab.spark.sql("CREATE TABLE growing AS SELECT id FROM range(10)")
    source = """
from pyspark import pipelines as dp
from pyspark.sql import SparkSession
from labs_lib.patterns.expectations import expect_or_fail

spark = SparkSession.active()


@dp.{kind}
@expect_or_fail("low", "id < 10")
def {name}():
    return spark.{read}.table("growing")
"""
    pipelines = []
    for kind, name, read in (("table", "streamed", "readStream"), ("materialized_view", "viewed", "read")):
        pipeline = write_pipeline(lab, name, source.format(kind=kind, name=name, read=read))
        retries = "configuration:\n  spark.sql.pipelines.maxFlowRetryAttempts: '0'\n"
        pipeline.spec.write_text(pipeline.spec.read_text() + retries)
        run_pipeline(pipeline.spec)
        pipelines.append(pipeline)
    lab.spark.sql("INSERT INTO growing VALUES (10)")
    for pipeline in pipelines:
        with pytest.raises(LabsError, match=r"Expectation low|TASK_WRITE_FAILED"):
            run_pipeline(pipeline.spec)
    assert lab.spark.table("streamed").count() == 10
    assert lab.spark.table("viewed").count() == 0, "the lesson says that the refresh has emptied it"
