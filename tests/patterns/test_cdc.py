"""Feeds of changes, and the flow that applies them: any order, any repetition, both types, and what it refuses."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import functions as F

from datasets.feeds import captured, dimension
from labs_lib.errors import LabsError
from labs_lib.lab import Lab, open_lab
from labs_lib.measuring import delta_log
from labs_lib.patterns.cdc import FlowRun, create_auto_cdc_flow, drop_auto_cdc_flow
from labs_lib.patterns.feeds import captured as landing

pytestmark = pytest.mark.ledger

SCHEMA = "k INT, part STRING, v STRING, w STRING, op STRING, seq INT"
Row = tuple[int | None, str | None, str | None, str | None, str, int | None]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    before = os.environ.get("LABS_WORKSPACE")
    os.environ["LABS_WORKSPACE"] = str(tmp_path_factory.mktemp("a büro"))
    yield open_lab("02_patterns")
    del os.environ["LABS_WORKSPACE"]
    if before:
        os.environ["LABS_WORKSPACE"] = before


def deliver(lab: Lab, rows: list[Row], anew: bool = False) -> None:
    if anew:
        lab.drop("feed")
        for target in ("one", "two"):
            drop_auto_cdc_flow(target)
    lab.spark.createDataFrame(rows, SCHEMA).write.mode("append").saveAsTable("feed")


def apply(target: str = "one", scd_type: int = 1, **others: Any) -> FlowRun:
    arguments: dict[str, Any] = {
        "target": target,
        "source": "feed",
        "keys": ["k", "part"],
        "sequence_by": "seq",
        "apply_as_deletes": F.expr("op = 'd'"),
        "except_column_list": ["op", "seq"],
        "stored_as_scd_type": scd_type,
    }
    return create_auto_cdc_flow(**(arguments | others))


def rows_of(lab: Lab, table: str, *columns: str) -> list[tuple[Any, ...]]:
    content = delta_log.content(lab.path(table))
    return sorted(zip(*(content[name.lower()].to_pylist() for name in columns), strict=True), key=repr)


def test_any_order_and_repetition_end_in_the_same_tables_for_both_types(lab: Lab) -> None:
    seed = int(np.random.default_rng().integers(1_000_000))
    print("seed", seed)
    draw = np.random.default_rng(seed)
    story = [
        (int(k), "a", f"v{n}", "w", "d" if draw.random() < 0.25 else "u", n)
        for n, k in enumerate(draw.integers(0, 12, 120))
    ]
    delivered = [story[n] for n in [*draw.permutation(120), *draw.integers(0, 120, 60)]]
    newest: list[tuple[Any, ...]] = []
    versions: list[tuple[Any, ...]] = []
    for key in range(12):
        mine = [row for row in story if row[0] == key]
        newest += [(key, row[2]) for row in mine[-1:] if row[4] == "u"]
        ends = [row[5] for row in mine[1:]] + [None]
        versions += [(key, row[2], row[5], end) for row, end in zip(mine, ends, strict=True) if row[4] == "u"]
    for part in (0, 1):
        deliver(lab, delivered[part * 90 : (part + 1) * 90], anew=part == 0)
        runs = [apply("one", 1), apply("two", 2)]
        assert [run.changes for run in runs] == [90, 90]
    assert rows_of(lab, "one", "k", "v") == sorted(newest, key=repr)
    assert rows_of(lab, "two", "k", "v", "__START_AT", "__END_AT") == sorted(versions, key=repr)
    assert apply() == FlowRun(0, 0)


def test_a_batch_that_is_applied_again_after_a_crash_changes_nothing(lab: Lab) -> None:
    deliver(lab, [(1, "a", "x", "w", "u", 1), (2, "a", "x", "w", "u", 1)], anew=True)
    for target, scd_type in (("one", 1), ("two", 2)):
        apply(target, scd_type)
    deliver(
        lab,
        [
            (1, "a", None, None, "d", 5),
            (2, "a", "y", "w", "u", 4),
            (3, "a", "z", "w", "u", 6),
            (None, "a", "?", "w", "u", 7),
        ],
    )
    for target, scd_type in (("one", 1), ("two", 2)):
        apply(target, scd_type)
        tables = (target, f"{target}__tombstones", f"{target}__rejected")
        wanted = [delta_log.content(lab.path(table)).to_pylist() for table in tables]
        # The crash came before the target was written: tombstones are there, the batch is not noted as done.
        before = delta_log.read(lab.path(target)).version - 1
        lab.spark.sql(f"RESTORE TABLE {target} TO VERSION AS OF {before}")
        forget_last_batch(lab, target)
        apply(target, scd_type)
        found = [delta_log.content(lab.path(table)).to_pylist() for table in tables]
        for one, other in zip(found, wanted, strict=True):
            assert sorted(one, key=repr) == sorted(other, key=repr)
        # And once more, when everything is there: no table has another commit.
        versions = [delta_log.read(lab.path(table)).version for table in tables]
        forget_last_batch(lab, target)
        assert apply(target, scd_type) == FlowRun(1, 4)
        assert [delta_log.read(lab.path(table)).version for table in tables] == versions


def forget_last_batch(lab: Lab, flow: str) -> None:
    noted = lab.folder / "checkpoints" / "cdc" / flow / "commits"
    newest = max(int(path.name) for path in noted.iterdir() if path.name.isdecimal())
    for path in (noted / str(newest), noted / f".{newest}.crc"):
        path.unlink(missing_ok=True)


def test_columns_that_are_not_tracked_change_in_place_and_a_late_change_splits_a_version(lab: Lab) -> None:
    deliver(lab, [(1, "a", "x", "w1", "u", 1), (1, "a", "x", "w5", "u", 5)], anew=True)
    apply("two", 2, track_history_column_list=["v"])
    assert rows_of(lab, "two", "v", "w", "__START_AT", "__END_AT") == [("x", "w5", 1, None)]
    deliver(lab, [(1, "a", "x", "w4", "u", 4), (1, "a", "y", "w3", "u", 3), (1, "a", "x", "w0", "u", 0)])
    apply("two", 2, track_history_column_list=["v"])
    found = rows_of(lab, "two", "v", "w", "__START_AT", "__END_AT")
    assert [(v, start, end) for v, _, start, end in found] == [("x", 0, 3), ("x", 4, None), ("y", 3, 4)]
    assert ("x", "w5", 4, None) in found


def test_sequences_of_several_columns_and_what_can_not_be_applied(lab: Lab) -> None:
    rows: list[Row] = [
        (1, "a", "old", "b", "u", 1),
        (1, "a", "new", "c", "u", 1),
        (2, None, "x", "a", "u", 1),
        (3, "a", "x", None, "d", 1),
    ]
    deliver(lab, [*rows, rows[2]], anew=True)
    for _ in range(2):
        apply(sequence_by=F.struct("seq", "w"), except_column_list=["op"])
        forget_last_batch(lab, "one")
    assert rows_of(lab, "one", "k", "v") == [(1, "new")]
    kept = [json.loads(row[0]) for row in rows_of(lab, "one__rejected", "change")]
    assert sorted(row["k"] for row in kept) == [2, 3]
    assert all(row.keys() == {"k", "part", "v", "w", "op", "seq"} for row in kept)


@pytest.mark.parametrize(
    ("others", "sentence"),
    [
        ({"ignore_null_updates": True}, "ignore_null_updates is not supported"),
        ({"apply_as_truncates": "op = 't'"}, "apply_as_truncates is not supported"),
        ({"once": True}, "once is not supported"),
        ({"source": "nowhere"}, "There is no table 'nowhere'"),
        ({"target": "a.b"}, "can't be called"),
        ({"keys": []}, "keys is empty"),
        ({"keys": "k"}, "list of column names"),
        ({"keys": ["q"]}, "keys names 'q'"),
        ({"sequence_by": "nothing"}, "does not fit the source"),
        ({"sequence_by": 5}, "`sequence_by`"),
        ({"apply_as_deletes": "op"}, "has to be a condition"),
        ({"column_list": ["v"]}, "not both"),
        ({"except_column_list": None, "column_list": ["v"]}, "a key can't be left out"),
        ({"stored_as_scd_type": 3}, "it is 1 or 2"),
        ({"track_history_column_list": ["v"]}, "are for type 2"),
        ({"stored_as_scd_type": 2, "track_history_column_list": ["op"]}, "names 'op'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_in_a_sentence(
    lab: Lab, others: dict[str, Any], sentence: str
) -> None:
    if not lab.spark.catalog.tableExists("feed"):
        deliver(lab, [(1, "a", "x", "w", "u", 1)])
    with pytest.raises(LabsError, match=sentence):
        apply(**({"target": "refused"} | others))
    assert not lab.spark.catalog.tableExists("refused")


def test_a_target_that_does_not_go_with_its_checkpoint_is_refused(lab: Lab) -> None:
    deliver(lab, [(1, "a", "x", "w", "u", 1)], anew=True)
    apply()
    with pytest.raises(LabsError, match="w differ"):
        apply(except_column_list=["op", "seq", "w"])
    lab.drop("one")
    with pytest.raises(LabsError, match=r"its table .* is gone"):
        apply()
    drop_auto_cdc_flow("one")
    assert apply() == FlowRun(1, 1)
    lab.spark.sql("DELETE FROM feed")
    with pytest.raises(LabsError, match="stopped"):
        apply()
    assert rows_of(lab, "one", "k") == [(1,)]


def test_a_flow_whose_memory_of_deletes_is_gone_is_stopped(lab: Lab) -> None:
    deliver(lab, [(1, "a", "x", "w", "u", 1)], anew=True)
    apply()
    lab.drop("one__tombstones")
    deliver(lab, [(1, "a", "y", "w", "u", 2)])
    with pytest.raises(LabsError, match="one__tombstones is gone"):
        apply()
    assert rows_of(lab, "one", "k", "v") == [(1, "x")]
    drop_auto_cdc_flow("one")
    assert apply() == FlowRun(1, 2)
    with pytest.raises(LabsError, match="one__tombstones was not made by this flow: part differ"):
        apply(keys=["k"])


@pytest.mark.parametrize("name", ["..", "../..", "/", "a/b", ""])
def test_only_a_flow_is_dropped(lab: Lab, name: str) -> None:
    (lab.folder / "checkpoints" / "mine").mkdir(parents=True, exist_ok=True)
    with pytest.raises(LabsError, match="can't be called"):
        drop_auto_cdc_flow("one", name or ".")
    with pytest.raises(LabsError, match="can't be called"):
        drop_auto_cdc_flow(name)
    assert (lab.folder / "checkpoints" / "mine").is_dir()


@pytest.mark.parametrize("seed", [0, 1, 77])
def test_the_dimensions_feed_has_every_kind_and_one_right_history(seed: int) -> None:
    feed = dimension.changes(seed)
    assert {change.kind for change in feed} == {"new", "changed", "unchanged", "reverted", "late", "again"}
    assert min(Counter(change.batch for change in feed).values()) > 150
    history = dimension.history(seed)
    start = dimension.known_households(seed)
    assert sum(map(len, history.values())) == len(start) + sum(e.inserted for e in dimension.effects(seed))
    # In one go, in order of time, the records amount to the same, but for versions that a late record repeats beforehand.
    records: dict[int, set[tuple[datetime, dimension.Details]]] = {}
    for change in feed:
        records.setdefault(change.household, set()).add((change.effective_at, change.details))
    twice = 0
    for household, versions in history.items():
        told = [(dimension.START, start[household])] if household in start else []
        for moment, details in sorted(records.get(household, ()), key=lambda record: record[0]):
            if not told or told[-1][1] != details:
                told.append((moment, details))
        repeated = [one.details == other.details for one, other in pairwise(versions)]
        twice += sum(repeated)
        first = [version for version, again in zip(versions, [False, *repeated], strict=False) if not again]
        assert told == [(v.valid_from, v.details) for v in first]
    assert twice == 27
    from_null = [
        (one.details, other.details)
        for versions in history.values()
        for one, other in pairwise(versions)
        if any((a is None) is not (b is None) for a, b in zip(one.details, other.details, strict=True))
    ]
    assert len(from_null) > 20


@pytest.mark.parametrize("seed", [0, 1, 77])
def test_the_captured_feed_holds_its_traps(seed: int, tmp_path: Path) -> None:
    delivered = captured.changes(seed)
    kinds = Counter(captured.traps(seed).values())
    assert min(kinds[kind] for kind in ("deleted", "late", "plain")) > 30
    assert sum(change.household is None for change in delivered) >= 16
    end, first = captured.state(seed), captured.state(seed, 1)
    revived = {
        c.household
        for c in delivered
        if c.delivery == 2 and c.operation != "DELETE" and c.household not in end and c.household not in first
    }
    assert len(revived) > 30
    lab = Lab("02_patterns", seed, tmp_path)
    with pytest.raises(LabsError, match="follows the first"):
        landing.deliver(lab, 2)
    for drop in (1, 2):
        landing.deliver(lab, drop)
    lines = [
        json.loads(line) for path in landing.folder(lab).iterdir() for line in path.read_text().splitlines()
    ]
    names = ("operation", "sequence", "household_id", *captured.DETAILS)
    assert Counter(tuple(line.get(name) for name in names) for line in lines) == captured.rows(seed)
    with pytest.raises(LabsError, match="no delivery 3"):
        landing.deliver(lab, 3)
