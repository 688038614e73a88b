"""A table in partitions by week, a calendar with events, and six queries that read more or less of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from datasets import variation
from labs_lib.engine.sql import literal
from labs_lib.lab import Lab
from labs_lib.measuring.spark_ui import Run
from labs_lib.resource_management.queries.tasks import FILES, own_nodes

PARTITIONED, CALENDAR = "sales_by_week", "calendar"
EVENTS = ("festival", "clearance", "opening")
NAMES = ("q1", "q2", "q3", "q4", "q5", "q6")
KINDS = ("dynamic", "dynamic", "static", "static", "key", "outer")
# What pruning by a join needs, whatever a session has set since.
DEFAULTS = {
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.autoBroadcastJoinThreshold": "10MB",
    "spark.sql.optimizer.dynamicPartitionPruning.enabled": "true",
}


def lay(lab: Lab, other_amounts: int | None = None) -> None:
    """Make the two tables from the transactions, if they aren't there; with `other_amounts` anew, with the amounts dealt by that draw."""
    if other_amounts is not None:
        lab.drop(PARTITIONED, CALENDAR)
    if all((lab.tables / name / "_delta_log").is_dir() for name in (PARTITIONED, CALENDAR)):
        return
    lab.drop(PARTITIONED, CALENDAR)
    lab.load("transactions")
    names = ["household_id", "store_id", "product_id", "sales_value", "transaction_date"]
    files = DeltaTable(lab.path("transactions")).file_uris()
    lines = pa.concat_tables(pq.read_table(file, columns=names) for file in files)
    days = lines["transaction_date"].cast(pa.int32())
    first = pc.min(days)
    weeks = pc.add(pc.divide(pc.subtract(days, first), pa.scalar(7, pa.int32())), pa.scalar(1, pa.int32()))
    if other_amounts is not None:
        dealt = np.random.default_rng(other_amounts).permutation(lines.num_rows)
        lines = lines.set_column(3, "sales_value", lines["sales_value"].take(pa.array(dealt)))
    write_deltalake(lab.tables / PARTITIONED, lines.append_column("week", weeks), partition_by=["week"])
    write_deltalake(lab.tables / CALENDAR, _calendar(lab.seed, first.as_py(), pc.max(weeks).as_py()))
    for name in (PARTITIONED, CALENDAR):
        lab.spark.sql(f"CREATE TABLE {name} USING delta LOCATION {literal(lab.tables / name)}")


def _calendar(seed: int, first: int, weeks: int) -> pa.Table:
    event = _event_of_weeks(seed, weeks)
    days = np.arange(7 * weeks)
    return pa.table(
        {
            "day": pa.array(first + days, pa.int32()).cast(pa.date32()),
            "week": pa.array(days // 7 + 1, pa.int32()),
            "event": pa.array([event[day // 7] for day in days]),
        }
    )


def _event_of_weeks(seed: int, weeks: int) -> list[str]:
    draw = variation.generator(seed, "events")
    order = draw.permutation(weeks)
    of_week = ["none"] * weeks
    begin = 0
    for event in EVENTS:
        size = int(draw.integers(4, 8))
        for week in order[begin : begin + size]:
            of_week[week] = event
        begin += size
    return of_week


def events_of(lab: Lab) -> tuple[DataFrame, DataFrame, str]:
    """The sales in partitions by week, the calendar with a row a day, and the event that the exercise asks about."""
    lay(lab)
    event = str(variation.generator(lab.seed, "event asked for").choice(EVENTS))
    return lab.spark.table(PARTITIONED), lab.spark.table(CALENDAR), event


def kinds(seed: int) -> dict[str, str]:
    """How each of the six queries prunes under a seed: dynamic, static, or not at all because of its key or its outer join."""
    order = variation.generator(seed, "pruning queries").permutation(len(KINDS))
    return {name: KINDS[place] for name, place in zip(NAMES, order, strict=True)}


def pruning_queries(lab: Lab) -> dict[str, DataFrame]:
    """Six queries over the partitioned sales, by name. What each is, depends on the seed."""
    sales, calendar, event = events_of(lab)
    wanted = calendar.where(F.col("event") == event)
    first = int(variation.generator(lab.seed, "first week").integers(3, 40))
    some = sorted(
        int(week) for week in variation.generator(lab.seed, "some weeks").choice(50, 5, replace=False) + 1
    )
    both = (sales.week == wanted.week) & (sales.transaction_date == wanted.day)
    frames = [
        sales.join(wanted, both),
        sales.join(wanted.select("week").distinct(), "week", "left_semi"),
        sales.where(F.col("week").between(first, first + 4)),
        sales.where(F.col("week").isin(some)),
        sales.join(wanted, sales.transaction_date == wanted.day),
        sales.join(wanted, both, "left"),
    ]
    per_store = [frame.groupBy("store_id").agg(F.sum("sales_value").alias("sales")) for frame in frames]
    order = variation.generator(lab.seed, "pruning queries").permutation(len(KINDS))
    return {name: per_store[place] for name, place in zip(NAMES, order, strict=True)}


def files_of(run: Run, table: str = PARTITIONED) -> int:
    """Files of a table that the scans of a run read."""
    return sum(node.metrics.get(FILES, 0) for node in own_nodes(run) if node.name.endswith(f".{table}"))


def prunes_by_join(run: Run) -> bool:
    """Whether a scan in the plan that ran took its partitions from another side of a join."""
    return "IN dynamicpruning#" in run.plan


def weeks_of(lab: Lab) -> dict[str, Any]:
    """How many files the partitioned table has, and how many of them the event that is asked for needs."""
    calendar = DeltaTable(lab.path(CALENDAR)).to_pyarrow_table().to_pandas()
    event = str(variation.generator(lab.seed, "event asked for").choice(EVENTS))
    weeks = set(calendar[calendar.event == event].week)
    files = pa.table(DeltaTable(lab.path(PARTITIONED)).get_add_actions(flatten=True)).to_pandas()
    return {"files": len(files), "wanted": int(files["partition.week"].astype(int).isin(weeks).sum())}
