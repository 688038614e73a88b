"""The feed of 2b.1 and the checkpoint helper: what the exercise and its check rest on."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from datasets.feeds import dirty_sales
from labs_lib.errors import LabsError
from labs_lib.patterns.checkpoint_log import forget_last_batch
from labs_lib.patterns.feeds import sales_batches
from labs_lib.patterns.feeds.dirty_sales import DirtySales


@pytest.mark.parametrize("seed", [0, 31337])
def test_every_arrival_has_lines_of_every_class_and_good_ones_are_sound(seed: int) -> None:
    accepted: set[int] = set()
    for lines in dirty_sales.arrivals(seed):
        counts = Counter(line.reason for line in lines)
        assert set(counts) == {"", *dirty_sales.REASONS}
        good = [line.record for line in lines if line.record]
        assert all(json.loads(line.raw) == line.record for line in lines if not line.reason)
        assert all(record.keys() == set(dirty_sales.KEYS) for record in good)
        numbers = [record["line_id"] for record in good]
        assert len(set(numbers)) == len(numbers) and not accepted & set(numbers)
        accepted |= set(numbers)
        assert {json.loads(line.raw)["line_id"] for line in lines if line.reason == "duplicate"} <= accepted
    assert dirty_sales.arrivals(seed) != dirty_sales.arrivals(seed + 1)


def test_a_file_that_has_come_stays_as_it_is(tmp_path: Path) -> None:
    feed = DirtySales(tmp_path, 0)
    first, second = feed.deliver(1), feed.deliver(2)
    assert first.stat().st_mtime < second.stat().st_mtime
    assert len(first.read_text().splitlines()) == len(dirty_sales.arrivals(0)[0])
    first.write_text("changed")
    assert feed.deliver(1).read_text() == "changed"
    for arrival in (0, 4):
        with pytest.raises(LabsError, match="arrivals are 1 to 3"):
            feed.deliver(arrival)


def test_only_the_last_batch_lacks_line_numbers() -> None:
    batches = sales_batches.batches(8)
    assert [table["line_id"].null_count > 0 for table in batches.values()] == [False, False, True]
    assert all(table["quantity"].null_count and table["sales_value"].null_count for table in batches.values())


def test_the_last_finished_batch_is_forgotten_and_no_other(tmp_path: Path) -> None:
    with pytest.raises(LabsError, match="No batch was finished"):
        forget_last_batch(tmp_path)
    commits = tmp_path / "commits"
    commits.mkdir()
    for name in ("9", "10", ".10.crc"):
        (commits / name).touch()
    assert forget_last_batch(tmp_path) == 10
    assert [file.name for file in commits.iterdir()] == ["9"]
