"""A Delta table with a past: its commits lie days back, so that retention can be tried without waiting for it.

Nothing of the engine is replaced. Delta's own rules read three clocks, and all three are moved: the commit's time and each
removed file's time in the log (Delta protocol, "Add File and Remove File", "Commit Provenance Information"), and the
modification times of the files on disk (what VACUUM compares).
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake
from pyspark.sql.connect.dataframe import DataFrame

import datasets
from labs_lib.engine.sql import literal
from labs_lib.lab import Lab

DAY = 24 * 60 * 60  # seconds


WINDOW = 7  # days; the window of exercise 1b.5, which some versions lie outside of and some inside
VERSIONS = 8


def table_with_a_past(lab: Lab, name: str) -> DataFrame:
    """Lay a table of weekly sales per region in a lab's database, overwritten seven times in the past weeks; what was there goes.

    Version n holds the weeks that were known when it was written. How many versions lie outside the last seven days
    depends on the seed. Columns: region string, week int, sales double; one file per region and version.
    """
    known = datasets.build("transactions", lab.seed).select(["store_id", "week", "sales_value"]).to_pandas()
    weekly = known.merge(datasets.build("stores", lab.seed).to_pandas(), on="store_id")
    weekly = (
        weekly.groupby(["region", "week"], as_index=False)
        .sales_value.sum()
        .rename(columns={"sales_value": "sales"})
    )
    last = int(weekly.week.max())
    contents = [
        pa.Table.from_pandas(weekly[weekly.week <= last - VERSIONS + 1 + n], preserve_index=False)
        for n in range(VERSIONS)
    ]
    outside = 2 + int(np.random.default_rng(lab.seed).integers(0, 4))  # 2 to 5 of the 8 versions
    old = [WINDOW + 4 * (outside - n) for n in range(outside)]
    recent = [(WINDOW - 1) * (VERSIONS - n) / (VERSIONS - outside) for n in range(outside, VERSIONS)]
    lab.drop(name)
    write(lab.tables / name, contents, [*old, *recent], partition_by=["region"])
    lab.spark.sql(f"CREATE TABLE {name} USING delta LOCATION {literal(lab.tables / name)}")
    return cast(DataFrame, lab.spark.table(name))


def write(
    folder: Path, versions: Sequence[pa.Table], days_ago: Sequence[float], partition_by: Sequence[str] = ()
) -> None:
    """Write a Delta table whose version n overwrote the one before with `versions[n]`, `days_ago[n]` days back.

    What lay in the folder is replaced. Raises ValueError if the two lists differ in length or the days do not fall.
    """
    if len(versions) != len(days_ago) or list(days_ago) != sorted(days_ago, reverse=True):
        raise ValueError("give one age for each version, the oldest first")
    shutil.rmtree(folder, ignore_errors=True)
    now = time.time()
    for number, content in enumerate(versions):
        write_deltalake(
            folder, content, mode="overwrite" if number else "error", partition_by=list(partition_by)
        )
    for number, days in enumerate(days_ago):
        _move_back(folder, number, now - days * DAY)


def _move_back(folder: Path, version: int, when: float) -> None:
    """Give one commit, the files that it added and the removals that it made the time `when` (seconds since 1970)."""
    commit = folder / "_delta_log" / f"{version:020}.json"
    actions = [json.loads(line) for line in commit.read_text().splitlines()]
    milliseconds = round(when * 1000)
    for action in actions:
        if "commitInfo" in action:
            action["commitInfo"]["timestamp"] = milliseconds
        elif "add" in action:
            action["add"]["modificationTime"] = milliseconds
            os.utime(folder / unquote(action["add"]["path"]), (when, when))
        elif "remove" in action:
            action["remove"]["deletionTimestamp"] = milliseconds
        elif "metaData" in action and action["metaData"].get("createdTime"):
            action["metaData"]["createdTime"] = milliseconds
    commit.write_text("".join(json.dumps(action) + "\n" for action in actions))
    os.utime(commit, (when, when))
