"""Arguments that a helper of module 2 can't use are refused in a sentence, and nothing is done with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from labs_lib.arguments import callable_with, checked, plain_name
from labs_lib.errors import LabsError
from labs_lib.lab import Lab
from labs_lib.measuring.reads import rows_read
from labs_lib.patterns.cdc import create_auto_cdc_flow
from labs_lib.patterns.checkpoint_log import batches, forget_last_batch
from labs_lib.patterns.deliveries import play_deliveries
from labs_lib.patterns.expectations import expect, write_checked
from labs_lib.patterns.feeds import captured, dirty_sales, sales_batches, sales_files
from labs_lib.patterns.feeds.sales_events import SalesFeed, sales_feed
from labs_lib.patterns.flaky_service import FlakyService, ManualClock
from labs_lib.patterns.streams import forget_stream, run_stream
from labs_lib.patterns.watermarks import replay
from labs_lib.patterns.writers import interleave
from labs_lib.pipelines import run_pipeline, write_pipeline

BAD: dict[str, Callable[[Any], object]] = {
    "run_stream .*`writer`": lambda lab: run_stream(lab, "s", pd.DataFrame()),
    "run_stream .*`name`": lambda lab: run_stream(lab, 3, None),
    r"forget_stream .*`names`.*\*names": lambda lab: forget_stream(lab, ["a", "b"]),
    "write_pipeline .*`source`": lambda lab: write_pipeline(lab, "p", None),
    "A pipeline can't be called '../p'": lambda lab: write_pipeline(lab, "../p", "x = 1"),
    "run_pipeline .*`spec`": lambda lab: run_pipeline(None),
    "interleave .*`rows`": lambda lab: interleave(lab, print, print, pd.DataFrame()),
    "replay .*`delay`": lambda lab: replay([pd.DataFrame()], "2 hours"),
    "no column 'event_time'": lambda lab: replay([pd.DataFrame({"a": [1]})], pd.Timedelta(hours=1)),
    "FlakyService .*`outages`": lambda lab: FlakyService({1: "a"}, [(60, 120)]),
    "FlakyService .*`regions`": lambda lab: FlakyService([1, 2]),
    "advance .*`seconds`": lambda lab: ManualClock().advance("5"),
    "rows_read .*`run`": lambda lab: rows_read(None),
    "create_auto_cdc_flow .*`keys`": lambda lab: create_auto_cdc_flow("t", "s", 5, "n"),
    "missing a required argument: 'keys'": lambda lab: create_auto_cdc_flow(
        target="t", source="s", sequence_by="n"
    ),
    "unexpected keyword argument 'scd'": lambda lab: create_auto_cdc_flow("t", "s", ["k"], "n", scd=2),
    "write_checked .*`dataset`": lambda lab: write_checked(5, run=1),
    r"called as needy\(\)": lambda lab: write_checked(expect("rule", "true")(needy), run=1),
    "lay .*`numbers`.*not a sequence": lambda lab: sales_files.lay(lab, "x", 3),
    "lay .*`numbers`.*item 0": lambda lab: sales_files.lay(lab, "x", [1.0]),
    "deliver .*`arrival`": lambda lab: dirty_sales.DirtySales(lab.folder, 0).deliver(1.0),
    "deliver .*`delivery`": lambda lab: captured.deliver(lab, [1]),
    "land .*`number`": lambda lab: sales_batches.land(lab, "1"),
    "sales_feed .*`name`": lambda lab: sales_feed(lab, 5),
    "batches .*`checkpoint`": lambda lab: batches(5),
    "No batch was finished": lambda lab: forget_last_batch(lab.folder / "none"),
    r"called as write_batch\(batch, batch_id\)": lambda lab: play_deliveries(lab, lambda batch: batch),
}


def needy(frame: object) -> Any:
    return frame


@pytest.mark.parametrize("said", BAD)
def test_a_wrong_argument_is_named_and_nothing_is_done(said: str, tmp_path: Path) -> None:
    lab = Lab("02_patterns", 0, tmp_path)
    with pytest.raises(LabsError, match=said) as caught:
        BAD[said](lab)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_figures_of_a_table_are_as_good_as_typed_ones(tmp_path: Path) -> None:
    clock = ManualClock()
    clock.advance(np.float64(2.5))
    assert type(clock.now) is float
    # A learner removed the folder: the file comes all the same.
    assert SalesFeed(tmp_path / "gone", 0).deliver(np.int64(1)).exists()  # type: ignore[arg-type]


def test_what_fits_is_handed_on_as_it_was() -> None:
    @checked
    def some(first: int, *others: str, last: float = 1) -> tuple[object, ...]:
        """What it says."""
        return first, others, last

    assert some(1, "a", "b", last=2) == (1, ("a", "b"), 2) and some.__doc__ == "What it says."
    with pytest.raises(LabsError, match="`others`"):
        some(1, "a", 2)  # type: ignore[arg-type]
    callable_with(print, "write", "rows")
    assert plain_name("A stream", "nightly") == "nightly"


def test_a_batch_under_way_keeps_the_one_before_it_finished(tmp_path: Path) -> None:
    for folder, numbers in (("offsets", (0, 1)), ("commits", (0,))):
        (tmp_path / folder).mkdir()
        for number in numbers:
            (tmp_path / folder / str(number)).touch()
    with pytest.raises(LabsError, match="Batch 1 is not finished"):
        forget_last_batch(tmp_path)
    assert (tmp_path / "commits" / "0").exists()
    (tmp_path / "offsets" / "1").unlink()
    assert forget_last_batch(tmp_path) == 0
