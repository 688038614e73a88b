"""A table that grew by batches is judged by what it held on its way, whatever its commits tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from datasets.feeds import dimension
from labs_lib.checking.evidence import Unusable
from labs_lib.measuring.table_history import State, states
from labs_lib.patterns.checks import streams
from labs_lib.patterns.checks.changes import HISTORY_COLUMNS, _flat, _holds, _versions
from labs_lib.patterns.checks.resilience import _holds_sums_of_batches, _holds_whole_batches, _lines, _totals
from labs_lib.patterns.checks.states import Fits, departure, stray
from labs_lib.patterns.feeds.deliveries import batches


def held(*contents: Iterable[int] | None) -> list[State]:
    return [
        State(version, "MERGE", None if ids is None else pa.table({"id": list(ids)}))
        for version, ids in enumerate(contents)
    ]


def has(*ids: int) -> Fits:
    return lambda rows: rows["id"].to_pylist() == list(ids)


BATCHES = [has(1), has(1, 2), has(1, 2, 3)]


def test_a_table_that_held_each_batch_in_turn_departs_from_nothing() -> None:
    assert departure(held([1], [1, 2], [1, 2, 3]), BATCHES) == ""
    assert departure(held([9], [1], [1, 2], [1, 2], [1, 2, 3]), BATCHES) == ""


def test_a_batch_that_was_never_there_and_batches_out_of_order_are_named() -> None:
    assert "batch 2 of 3" in departure(held([1], [2, 1], [1, 2, 3]), BATCHES)
    assert "batch 3 of 3" in departure(held([1, 2, 3], [1], [1, 2]), BATCHES)
    assert "batch 1 of 3" in departure([], BATCHES)


def test_what_nobody_can_see_any_more_counts_for_nothing() -> None:
    with pytest.raises(Unusable, match="Files of version 1 "):
        departure(held([1], None, [1, 2, 3]), BATCHES)
    with pytest.raises(Unusable, match="Files of version 0 "):
        stray(held(None), has(1))


def test_a_table_without_the_column_is_no_error_of_the_checks() -> None:
    other = [State(0, "WRITE", pa.table({"other": [1]}))]
    assert departure(other, BATCHES) and stray(other, has(1))
    assert stray(held([1], [1]), has(1)) == ""


def test_the_dimension_after_each_batch_differs_by_what_the_batch_does() -> None:
    before: Counter[tuple[object, ...]] = Counter()
    flat = [_flat(_versions(state)) for state in dimension.states(5)]
    assert flat[-1] == _flat(_versions(dimension.history(5)))
    for after, effect in list(zip(flat, dimension.effects(5), strict=True))[1:]:
        before = flat[flat.index(after) - 1]
        assert (after - before).total() == effect.inserted + effect.closed
        assert (before - after).total() == effect.closed
    rows = list(flat[0].elements())
    table = pa.table({name: [row[place] for row in rows] for place, name in enumerate(HISTORY_COLUMNS)})
    assert _holds(flat[0], HISTORY_COLUMNS)(table) and not _holds(flat[1], HISTORY_COLUMNS)(table)


def test_a_log_holds_whole_batches_and_totals_are_sums_of_some() -> None:
    feed = batches(5)
    parts = [Counter(_lines(batch)) for batch in feed.values()]
    sums = [_totals(batch) for batch in feed.values()]
    log = pa.concat_tables([feed[1], feed[3]])
    assert _holds_whole_batches(parts, log) and _holds_whole_batches(parts, log.slice(0, 0))
    assert not _holds_whole_batches(parts, log.slice(1)) and not _holds_whole_batches(
        parts, pa.concat_tables([log, feed[1]])
    )
    for chosen in (log, feed[2], pa.concat_tables(feed.values())):
        found = [
            {"store_id": store, "lines": n, "sales": (cents or 0) / 100}
            for store, (n, cents) in _totals(chosen).items()
        ]
        assert _holds_sums_of_batches(sums, pa.Table.from_pylist(found))
        found[0]["lines"] = int(found[0]["lines"]) + 1
        assert not _holds_sums_of_batches(sums, pa.Table.from_pylist(found))


def test_nightly_sums_that_came_a_night_at_a_time_depart_from_nothing(tmp_path: Path) -> None:
    nights = streams._by_night(5)
    wanted = [streams._holds(days, streams.DAILY) for days in nights]
    for days in nights:
        write_deltalake(tmp_path / "daily", days, mode="overwrite")
    assert departure(states(tmp_path / "daily"), wanted) == ""
    for days in (nights[-1], nights[0], nights[1], nights[2]):
        write_deltalake(tmp_path / "last_first", days, mode="overwrite")
    assert "batch 4 of 4" in departure(states(tmp_path / "last_first"), wanted)


def test_windows_in_another_order_are_found_out_though_their_numbers_fit(tmp_path: Path) -> None:
    truth = streams._replayed(5, streams.SHORT)
    wanted = [
        streams._holds(truth.emitted.iloc[:closed], streams.HOURLY)
        for closed in pd.Series(streams._closings(truth)).cumsum()
    ]
    rows = truth.emitted.astype({"lines": "int64"})
    for name, table in (("closed", rows), ("by_store", rows.sort_values(["store_id", "window_start"]))):
        begun = 0
        for closed in streams._closings(truth):
            write_deltalake(
                tmp_path / name, table.iloc[begun : begun + closed].reset_index(drop=True), mode="append"
            )
            begun += closed
    assert departure(states(tmp_path / "closed"), wanted) == ""
    assert "batch 1 of" in departure(states(tmp_path / "by_store"), wanted)
