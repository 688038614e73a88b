"""Streams over the nightly sales, on a real server: progress, restarts, failures, and the watermark rule against Spark itself."""

from __future__ import annotations

import os
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import functions as F

from labs_lib.errors import LabsError
from labs_lib.lab import Lab, open_lab
from labs_lib.measuring.spark_ui import measure
from labs_lib.patterns.feeds import sales_events
from labs_lib.patterns.feeds.sales_events import NIGHTS, SalesFeed, sales_feed
from labs_lib.patterns.streams import checkpoint, forget_stream, run_stream
from labs_lib.patterns.watermarks import replay

pytestmark = pytest.mark.ledger

MODULE = "02_patterns"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    seed = secrets.randbelow(2**31 - 1) + 1
    print(f"seed {seed}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABS_WORKSPACE", str(tmp_path_factory.mktemp("a büro")))
        yield open_lab(MODULE, seed)


def begin(lab: Lab, name: str) -> SalesFeed:
    forget_stream(lab, name)
    lab.drop(name)
    return sales_feed(lab, name)


def lines_of(lab: Lab, feed: SalesFeed):  # type: ignore[no-untyped-def]
    return lab.spark.readStream.schema(feed.schema).json(str(feed.folder))


def hourly(lab: Lab, feed: SalesFeed, delay: str):  # type: ignore[no-untyped-def]
    return (
        lines_of(lab, feed)
        .withWatermark("event_time", delay)
        .groupBy(F.window("event_time", "1 hour").alias("window"), "store_id")
        .agg(F.count("*").alias("lines"), F.sum("sales_value").alias("sales"))
        .select(F.col("window.start").alias("window_start"), "store_id", "lines", "sales")
    )


def test_the_rule_says_what_spark_does(lab: Lab) -> None:
    feed = begin(lab, "ruled")
    runs = [
        run_stream(lab, "ruled", hourly(lab, feed, "6 hours").writeStream, table="ruled")
        for _ in feed.arrivals()
    ]
    nights = [sales_events.night_of(lab.seed, night) for night in range(1, NIGHTS + 1)]
    truth = replay(nights, pd.Timedelta(hours=6))
    progress = pd.concat(runs, ignore_index=True)
    expected = pd.DataFrame(truth.batches)
    for column in ("input_rows", "state_rows", "closed", "dropped"):
        assert progress[column].tolist() == expected[column].tolist(), column
    assert pd.to_datetime(progress["watermark"], utc=True).tolist() == expected["watermark"].tolist()
    assert truth.dropped_lines > truth.dropped > 0
    table = lab.spark.table("ruled").toPandas().sort_values(["window_start", "store_id"], ignore_index=True)
    wanted = truth.emitted.sort_values(["window_start", "store_id"], ignore_index=True)
    assert table["lines"].tolist() == wanted["lines"].tolist()
    assert table["sales"].round(4).tolist() == wanted["sales"].round(4).tolist()
    counted = wanted["lines"].sum() + truth.state["lines"].sum() + truth.dropped_lines
    assert counted == len(sales_events.events(lab.seed))


def test_a_failed_stream_says_why_and_goes_on_from_its_checkpoint(lab: Lab) -> None:
    feed = begin(lab, "mended")
    feed.deliver(1)
    run_stream(lab, "mended", lines_of(lab, feed).writeStream, table="mended")
    feed.deliver(2)

    broken = lines_of(lab, feed).where("raise_error(concat('bad line ', line_id)) IS NULL")
    with pytest.raises(LabsError, match=r"'mended' failed: .*bad line \d+.* forget_stream"):
        run_stream(lab, "mended", broken.writeStream, table="mended")
    after = run_stream(lab, "mended", lines_of(lab, feed).writeStream, table="mended")
    assert after["input_rows"].tolist() == [len(sales_events.night_of(lab.seed, 2))]
    both = sum(len(sales_events.night_of(lab.seed, night)) for night in (1, 2))
    assert lab.spark.table("mended").count() == both
    assert run_stream(lab, "mended", lines_of(lab, feed).writeStream, table="mended").empty


def test_a_table_that_is_gone_is_not_written_from_the_middle(lab: Lab) -> None:
    feed = begin(lab, "gone")
    feed.deliver(1)
    run_stream(lab, "gone", lines_of(lab, feed).writeStream, table="gone")
    lab.drop("gone")
    with pytest.raises(LabsError, match="forget_stream"):
        run_stream(lab, "gone", lines_of(lab, feed).writeStream, table="gone")
    forget_stream(lab, "gone")
    assert not checkpoint(lab, "gone").exists()
    run_stream(lab, "gone", lines_of(lab, feed).writeStream, table="gone")
    assert lab.spark.table("gone").count() == len(sales_events.night_of(lab.seed, 1))


def test_an_error_in_a_function_for_batches_is_the_reason(lab: Lab) -> None:
    feed = begin(lab, "raising")
    feed.deliver(1)

    def broken(batch, batch_id):  # type: ignore[no-untyped-def]
        raise ValueError(f"no disk for batch {batch_id}")

    with pytest.raises(
        LabsError, match=r"'raising' failed: ValueError: no disk for batch 0\. Its checkpoint"
    ):
        run_stream(lab, "raising", lines_of(lab, feed).writeStream.foreachBatch(broken))


def test_an_interrupted_stream_is_stopped_in_mid_batch_and_goes_on(lab: Lab, tmp_path: Path) -> None:
    feed = begin(lab, "interrupted")
    for night in range(1, NIGHTS + 1):
        feed.deliver(night)
    begun, table = tmp_path / "begun", f"{lab.database}.interrupted"

    def write(batch, batch_id):  # type: ignore[no-untyped-def]
        begun.touch()
        time.sleep(2)  # work, in whose midst the interrupt comes
        batch.write.options(txnAppId="interrupted", txnVersion=batch_id).mode("append").saveAsTable(table)

    def interrupt() -> None:
        while not begun.exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    stream = lab.spark.readStream.schema(feed.schema).option("maxFilesPerTrigger", 1).json(str(feed.folder))
    threading.Thread(target=interrupt, daemon=True).start()
    # Python leaves the signal ignored where it was started so, as a shell does for what runs in the background.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_stream(lab, "interrupted", stream.writeStream.foreachBatch(write))
    finally:
        signal.signal(signal.SIGINT, before)
    assert [query.name for query in lab.spark.streams.active] == []
    assert not (checkpoint(lab, "interrupted") / "commits" / str(NIGHTS - 1)).exists()
    run_stream(lab, "interrupted", stream.writeStream.foreachBatch(write))
    lines = lab.spark.table(table)
    assert lines.count() == lines.select("line_id").distinct().count() == len(sales_events.events(lab.seed))


def test_measure_counts_the_bytes_that_a_stream_read_in_whatever_its_function_does(lab: Lab) -> None:
    feed = begin(lab, "measured")

    def twice(batch, batch_id):  # type: ignore[no-untyped-def]
        for _ in range(2):
            batch.write.format("noop").mode("append").save()

    for night in (1, 2):
        size = feed.deliver(night).stat().st_size
        once = measure(lambda: run_stream(lab, "measured", lines_of(lab, feed).writeStream, table="measured"))
        assert size <= once.input_bytes < 1.1 * size
    double = measure(lambda: run_stream(lab, "doubled", lines_of(lab, feed).writeStream.foreachBatch(twice)))
    both = sum((feed.folder / f"night-{night}.json").stat().st_size for night in (1, 2))
    assert 2 * both <= double.input_bytes < 2.1 * both


def test_bad_input_is_named(lab: Lab) -> None:
    feed = begin(lab, "bad")
    feed.deliver(1)
    grouped = lines_of(lab, feed).groupBy("store_id").count()
    with pytest.raises(LabsError, match=r"'bad' did not start: .*watermark"):
        run_stream(lab, "bad", grouped.writeStream, table="bad")
    for name in ("../up", "two words", ""):
        with pytest.raises(LabsError, match="letters, digits and underscores"):
            run_stream(lab, name, grouped.writeStream)
        with pytest.raises(LabsError, match="letters, digits and underscores"):
            sales_feed(lab, name)
    with pytest.raises(LabsError, match="nights are 1 to 4"):
        feed.deliver(5)


@pytest.mark.parametrize("seed", [0, 1, secrets.randbelow(2**31 - 1)], ids=["0", "1", "fresh"])
def test_the_feed_has_what_the_lessons_need_under_any_seed(seed: int) -> None:
    lines = sales_events.events(seed)
    assert 10_000 < len(lines) < 40_000 and lines.line_id.is_unique
    assert (lines.arrived_at > lines.event_time).all() and set(lines.night) == {1, 2, 3, 4}
    prompt = (lines.arrived_at - lines.event_time) < pd.Timedelta(minutes=15)
    assert 0.8 < prompt.mean() < 0.98
    nights = [sales_events.night_of(seed, night) for night in range(1, NIGHTS + 1)]
    short, long = (replay(nights, pd.Timedelta(hours=hours)) for hours in (2, 24))
    assert short.dropped_lines > short.dropped > long.dropped > 0
    assert long.open_groups > 2 * short.open_groups
