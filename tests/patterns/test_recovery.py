"""The rehearsal of failures, its deliveries, and what a checkpoint says; one small stream is really killed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pandas as pd
import pytest

from labs_lib.errors import LabsError
from labs_lib.lab import Lab
from labs_lib.patterns import checkpoint_log, faults
from labs_lib.patterns.checks import recovery
from labs_lib.patterns.feeds import sales_files
from tests.conftest import Run

pytestmark = pytest.mark.ledger


@pytest.mark.parametrize("seed", [0, 11])
def test_deliveries_hold_every_line_once_and_change_late(seed: int) -> None:
    feed = sales_files.feed(seed)
    truth = recovery.every_line(feed).to_pandas()
    assert truth.line_id.is_unique and len(truth) == sum(delivery.rows for delivery in feed.deliveries)
    old = sum(delivery.rows for delivery in feed.deliveries[: sales_files.CHANGED_FROM - 1])
    assert truth[feed.new_column][:old].isna().all() and truth[feed.new_column][old:].notna().all()
    assert (truth.quantity[:old] % 1 == 0).all() and (truth.quantity[old:] % 1 != 0).any()
    assert {feed.sound.name, *(broken.name for broken in feed.cut)} == {d.name for d in feed.deliveries[2:5]}
    sizes = recovery.milestones(feed)
    assert sizes == sorted(set(sizes)) and sizes[-1] == len(truth)


def test_another_seed_gives_other_deliveries() -> None:
    one, other = sales_files.feed(0), sales_files.feed(11)
    assert one.deliveries != other.deliveries
    assert len({sales_files.feed(seed).new_column for seed in range(12)}) > 1


def test_a_broken_delivery_can_not_be_read_to_its_end(tmp_path: Path) -> None:
    packed, plain = sales_files.feed(0).cut
    packed.write(tmp_path, cut=True)
    plain.write(tmp_path, cut=True)
    with pytest.raises(EOFError), gzip.open(tmp_path / packed.name) as file:
        file.read()
    *whole, last = (tmp_path / plain.name).read_text().splitlines()
    assert whole == plain.text.splitlines()[: len(whole)]
    with pytest.raises(ValueError):
        json.loads(last)
    again = packed.again()
    again.write(tmp_path)
    assert gzip.decompress((tmp_path / again.name).read_bytes()).decode() == packed.text
    assert len(list(tmp_path.iterdir())) == 3


def test_a_lesson_can_not_ask_for_what_is_not_there(tmp_path: Path) -> None:
    lab = Lab("02_patterns", 0, tmp_path)
    with pytest.raises(LabsError, match="no delivery 8"):
        sales_files.lay(lab, "lesson", [1, 8])
    with pytest.raises(LabsError, match="can't be called"):
        sales_files.lay(lab, "../x")
    assert list(tmp_path.iterdir()) == []


def checkpoint(folder: Path) -> Path:
    for part in ("offsets", "commits", "sources/0"):
        (folder / part).mkdir(parents=True)
    for batch, offset in enumerate((0, 2)):
        (folder / "offsets" / str(batch)).write_text(f'v1\n{{"conf":{{}}}}\n{{"logOffset":{offset}}}')
    (folder / "commits" / "0").write_text('v1\n{"nextBatchWatermarkMs":0}')
    (folder / "commits" / ".0.crc").write_text("x")
    first = '{"path":"file:///in/a.json","timestamp":1,"batchId":0}'
    (folder / "sources" / "0" / "0").write_text(f"v1\n{first}")
    others = "\n".join(f'{{"path":"file:///in/{n}.json","timestamp":1,"batchId":{n}}}' for n in (1, 2))
    (folder / "sources" / "0" / "2.compact").write_text(f"v1\n{first}\n{others}")
    return folder


def test_a_checkpoint_tells_its_batches(tmp_path: Path) -> None:
    found = checkpoint_log.batches(checkpoint(tmp_path))
    expected = pd.DataFrame(
        {"batch": [0, 1], "files": ["a.json", "1.json, 2.json"], "finished": [True, False]}
    )
    pd.testing.assert_frame_equal(found, expected)


def test_what_is_no_checkpoint_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(LabsError, match="no checkpoint"):
        checkpoint_log.batches(tmp_path / "nowhere")
    damaged = checkpoint(tmp_path)
    (damaged / "offsets" / "1").write_text("v1\n{}\n{broken")
    with pytest.raises(LabsError, match="can't be read"):
        checkpoint_log.batches(damaged)


def test_only_a_function_of_four_arguments_is_rehearsed(tmp_path: Path) -> None:
    lab = Lab("02_patterns", 0, tmp_path)
    with pytest.raises(LabsError, match="it was given str"):
        faults.rehearse(lab, "resume")  # type: ignore[arg-type]
    with pytest.raises(LabsError, match="can't be called as resume"):
        faults.rehearse(lab, lambda source: None)  # type: ignore[arg-type, misc]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("sizes", "right"),
    [([0, 2, 5, 9], True), ([0, 1, 2, 4, 5, 9], True), ([0, 9], False), ([0, 2, 6, 9], False), ([], False)],
)
def test_a_table_grows_by_whole_deliveries(sizes: list[int], right: bool) -> None:
    assert recovery._grew(sizes, [2, 5, 9]) is right


REHEARSAL = """
import shutil
from labs_lib import open_lab
from labs_lib.patterns.checkpoint_log import batches
from labs_lib.errors import LabsError
from labs_lib.patterns.faults import differing_rows, killing, rehearse
from labs_lib.patterns.feeds import sales_files
from labs_lib.patterns.streams import NOT_CONNECTED, STARTS, started

lab = open_lab("02_patterns", seed=3)
spark = lab.spark
source = sales_files.lay(lab, "test", [1], fresh=True)
checkpoint, marker = lab.folder / "checkpoints" / "test", lab.folder / "marker"


def append(source, checkpoint, table):
    def write(batch, batch_id):
        batch.write.mode("append").saveAsTable(table)

    stream = spark.readStream.schema("line_id BIGINT").json(str(source))
    query = stream.writeStream.foreachBatch(write).option("checkpointLocation", str(checkpoint)).trigger(availableNow=True).start()
    query.awaitTermination()


for moment in ("before", "after"):
    for _ in range(STARTS):
        with killing(moment, marker) as given:
            try:
                append(source, checkpoint, f"{lab.database}.test_sales")
            except Exception as error:
                if NOT_CONNECTED not in str(error):
                    break
    there = spark.catalog.tableExists("test_sales")
    print(moment, len(given), marker.read_text(), spark.table("test_sales").count() if there else 0, batches(checkpoint).finished.tolist())
started(lambda: append(source, checkpoint, f"{lab.database}.test_sales"))
print("again", spark.table("test_sales").count(), batches(checkpoint).finished.tolist(), sales_files.feed(3).deliveries[0].rows)
print("differ", differing_rows(lab, "test_sales", "nothing"))

def endless(source, checkpoint, table, quarantine):
    spark.readStream.schema("line_id BIGINT").json(source).writeStream.foreachBatch(lambda *_: None).option("checkpointLocation", checkpoint).start()
    raise KeyboardInterrupt  # what the learner does about it


try:
    rehearse(lab, endless)
except KeyboardInterrupt:
    print("streams left:", len(spark.streams.active))

for bad in (
    lambda source, checkpoint, table, quarantine: None,
    lambda source, checkpoint, table, quarantine: shutil.rmtree(source),
):
    try:
        rehearse(lab, bad)
    except LabsError as error:
        print("LabsError:", error)
"""


def test_a_stream_is_killed_before_or_after_its_write_and_goes_on(run_python: Run) -> None:
    run = run_python(REHEARSAL, timeout=300)
    assert run.returncode == 0, run.stderr
    rows = sales_files.feed(3).deliveries[0].rows
    before, after, again, differ, interrupted, no_stream, removed = run.stdout.splitlines()
    assert before == "before 1 0 0 [False]"
    assert after == f"after 1 0 {rows} [False]"
    assert (
        again == f"again {2 * rows} [True] {rows}"
    )  # the append is not idempotent: that is what the rehearsal finds
    assert differ == f"differ {2 * rows}"
    assert interrupted == "streams left: 0"
    assert "foreachBatch" in no_stream
    assert "removed the source's folder" in removed
