"""Histories that a notebook wrote by hand are found out by the files that they speak of; those that an engine wrote are not."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from labs_lib.measuring.table_history import commits, contradiction, states

Actions = list[dict[str, Any]]


def rows(first: int, last: int, value: str = "a") -> pa.Table:
    return pa.table({"id": range(first, last), "value": [value] * (last - first)})


def spark_says(path: Path, version: int, operation: str, **metrics: int) -> None:
    """Give a commit of delta-rs the words that Spark has for it: only Spark's metrics are judged."""
    edit(
        path,
        version,
        lambda actions: info_of(actions).update(
            operation=operation, operationMetrics={k: str(v) for k, v in metrics.items()}
        ),
    )


def info_of(actions: Actions) -> dict[str, Any]:
    found: dict[str, Any] = next(action["commitInfo"] for action in actions if "commitInfo" in action)
    return found


def edit(path: Path, version: int, change: Callable[[Actions], Any]) -> None:
    file = path / "_delta_log" / f"{version:020}.json"
    actions = [json.loads(line) for line in file.read_text().splitlines()]
    actions = change(actions) or actions
    file.write_text("".join(json.dumps(action) + "\n" for action in actions))


def add_commit(path: Path, actions: Actions) -> None:
    version = len(list((path / "_delta_log").glob("*.json")))
    (path / "_delta_log" / f"{version:020}.json").write_text(
        "".join(json.dumps(action) + "\n" for action in actions)
    )


@pytest.fixture
def honest(tmp_path: Path) -> Path:
    """A table of an append, a MERGE, a DELETE and a compaction, told of as Spark tells of them."""
    path = tmp_path / "sales"
    write_deltalake(path, rows(0, 10))
    spark_says(path, 0, "WRITE", numFiles=1, numOutputRows=10)
    source = pa.table({"id": [8, 9, 10, 11, 12], "value": ["b"] * 5})
    merge = DeltaTable(path).merge(source, "t.id = s.id", source_alias="s", target_alias="t")
    merge.when_matched_update_all().when_not_matched_insert_all().execute()
    spark_says(
        path,
        1,
        "MERGE",
        numTargetRowsInserted=3,
        numTargetRowsUpdated=2,
        numTargetRowsDeleted=0,
        numOutputRows=13,
    )
    DeltaTable(path).delete("id < 4")
    spark_says(path, 2, "DELETE", numDeletedRows=4)
    write_deltalake(path, rows(20, 25), mode="append")
    spark_says(path, 3, "STREAMING UPDATE", numAddedFiles=1, numRemovedFiles=0, numOutputRows=5)
    DeltaTable(path).optimize.compact()
    spark_says(path, 4, "OPTIMIZE", numAddedFiles=1, numRemovedFiles=2)
    return path


def test_a_history_that_an_engine_wrote_fits_its_files(honest: Path) -> None:
    assert contradiction(honest) is None
    found = list(commits(honest))
    assert [(each.before, each.after, each.written) for each in found] == [
        (0, 10, 10),
        (10, 13, 13),
        (13, 9, 9),
        (9, 14, 5),
        (14, 14, 14),
    ]


def test_it_fits_after_a_vacuum_too(honest: Path) -> None:
    DeltaTable(honest).vacuum(0, dry_run=False, enforce_retention_duration=False)
    assert contradiction(honest) is None
    assert [each.after for each in commits(honest)][:3] == [None, None, None]


def test_states_are_what_the_table_held_after_each_commit_that_acted_on_files(honest: Path) -> None:
    add_commit(honest, [{"commitInfo": {"timestamp": 2**42, "operation": "MERGE"}}])
    held = [(each.version, each.rows["id"].to_pylist() if each.rows else None) for each in states(honest)]
    assert [(version, len(ids or [])) for version, ids in held] == [
        (0, 10),
        (1, 13),
        (2, 9),
        (3, 14),
        (4, 14),
    ]
    assert sorted(held[2][1] or []) == [4, 5, 6, 7, 8, 9, 10, 11, 12]
    DeltaTable(honest).vacuum(0, dry_run=False, enforce_retention_duration=False)
    assert [each.rows is None for each in states(honest)] == [True, True, True, True, False]


def empty_commit(path: Path) -> None:
    add_commit(
        path,
        [
            {
                "commitInfo": {
                    "timestamp": 2**42,
                    "operation": "MERGE",
                    "operationMetrics": {"numTargetRowsInserted": "7", "numTargetRowsUpdated": "2"},
                }
            }
        ],
    )


def empty_merge_of_updates(path: Path) -> None:
    """As many rows as before, which is what updates leave; but none was written."""
    told = {"numTargetRowsInserted": "0", "numTargetRowsUpdated": "344"}
    add_commit(path, [{"commitInfo": {"timestamp": 2**42, "operation": "MERGE", "operationMetrics": told}}])


def empty_stream_commit(path: Path) -> None:
    add_commit(
        path,
        [
            {
                "commitInfo": {
                    "timestamp": 2**42,
                    "operation": "STREAMING UPDATE",
                    "operationMetrics": {"numOutputRows": "7"},
                }
            }
        ],
    )


def empty_optimize(path: Path) -> None:
    add_commit(
        path,
        [
            {
                "commitInfo": {
                    "timestamp": 2**42,
                    "operation": "OPTIMIZE",
                    "operationMetrics": {"numAddedFiles": "1", "numRemovedFiles": "9"},
                }
            }
        ],
    )


def metrics_of_another_merge(path: Path) -> None:
    spark_says(
        path,
        1,
        "MERGE",
        numTargetRowsInserted=250,
        numTargetRowsUpdated=190,
        numTargetRowsDeleted=0,
        numOutputRows=440,
    )


def one_row_more(path: Path) -> None:
    spark_says(
        path,
        1,
        "MERGE",
        numTargetRowsInserted=4,
        numTargetRowsUpdated=2,
        numTargetRowsDeleted=0,
        numOutputRows=13,
    )


def overwrite_called_merge(path: Path) -> None:
    """All rows exchanged by an overwrite; as a MERGE it tells of one update."""
    write_deltalake(path, rows(100, 114), mode="overwrite")
    spark_says(
        path,
        5,
        "MERGE",
        numTargetRowsInserted=0,
        numTargetRowsUpdated=1,
        numTargetRowsDeleted=0,
        numOutputRows=14,
    )


def rows_taken_out_in_silence(path: Path) -> None:
    spark_says(path, 2, "DELETE", numDeletedRows=1)


def optimize_that_loses_rows(path: Path) -> None:
    """The compaction takes the file of the append out and puts no row of it in."""
    DeltaTable(path).delete("id >= 20")
    spark_says(path, 5, "OPTIMIZE")


def written_rows_made_up(path: Path) -> None:
    spark_says(path, 3, "STREAMING UPDATE", numAddedFiles=1, numRemovedFiles=0, numOutputRows=344)


def files_made_up(path: Path) -> None:
    spark_says(path, 4, "OPTIMIZE", numAddedFiles=1, numRemovedFiles=40)


def turned_back_in_time(path: Path) -> None:
    edit(path, 3, lambda actions: info_of(actions).update(timestamp=1000))


def no_json(path: Path) -> None:
    (path / "_delta_log" / f"{5:020}.json").write_text('{"commitInfo": 3}\n')


def metrics_are_a_list(path: Path) -> None:
    edit(path, 3, lambda actions: info_of(actions).update(operationMetrics=[1]))


def checkpoint_of_another_table(path: Path) -> None:
    """A checkpoint beside the commits says that the table has other files; readers begin at it."""
    other = path.with_name("other")
    write_deltalake(other, rows(0, 2))
    for first in (2, 4, 6, 8):
        write_deltalake(other, rows(first, first + 2), mode="append")
    DeltaTable(other).create_checkpoint()
    for file in [*other.glob("*.parquet"), *(other / "_delta_log").glob("*checkpoint*")]:
        shutil.copy(file, path / file.relative_to(other))


def history_of_another_table(path: Path) -> None:
    """The commits' words of a table that grew as the task asks, above the files of one that did not."""
    other = path.with_name("other")
    write_deltalake(other, rows(0, 2))
    for first in (2, 4, 6, 8):
        write_deltalake(other, rows(first, first + 2), mode="append")
    for version in range(5):
        words = info_of(
            [
                json.loads(line)
                for line in (other / "_delta_log" / f"{version:020}.json").read_text().splitlines()
            ]
        )
        edit(path, version, lambda actions, words=words: info_of(actions).update(words))
        spark_says(path, version, "WRITE", numFiles=1, numOutputRows=2)


FORGERIES = [
    *(empty_commit, empty_merge_of_updates, empty_stream_commit, empty_optimize, metrics_of_another_merge, one_row_more, overwrite_called_merge),
    *(rows_taken_out_in_silence, optimize_that_loses_rows, written_rows_made_up, files_made_up, turned_back_in_time),
    *(no_json, metrics_are_a_list, history_of_another_table, checkpoint_of_another_table),
]  # fmt: skip


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
def test_a_forged_history_is_found_out(forge: Callable[[Path], None], honest: Path) -> None:
    forge(honest)
    said = contradiction(honest)
    assert said and re.match(
        r"The history of sales (contradicts itself|can't be read|and its (files|rows) contradict each other): ",
        said.replace("read: ", "read: "),
    )


def test_a_log_whose_first_commits_are_gone_is_judged_from_where_it_is_known(honest: Path) -> None:
    DeltaTable(honest).create_checkpoint()
    for version in (0, 1):
        (honest / "_delta_log" / f"{version:020}.json").unlink()
    assert contradiction(honest) is None
    spark_says(honest, 4, "OPTIMIZE", numAddedFiles=7, numRemovedFiles=2)
    assert contradiction(honest)


def test_files_of_another_submission_at_the_same_place_are_counted_anew(honest: Path) -> None:
    assert contradiction(honest) is None
    shutil.rmtree(honest)
    write_deltalake(honest, rows(0, 3))
    spark_says(honest, 0, "WRITE", numFiles=1, numOutputRows=10)
    assert contradiction(honest)
