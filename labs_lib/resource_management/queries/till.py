"""The same policy on Spark's own cache: a short week on two real tables, with another writer, and Spark's own figures of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from datasets import variation
from labs_lib.engine.sql import literal
from labs_lib.lab import Lab
from labs_lib.measuring.spark_ui import fetch, measure
from labs_lib.resource_management.queries.caching import Block, Event, acts
from labs_lib.resource_management.queries.tasks import FILES, own_nodes

LINES, LIST = "till_lines", "till_products"
WEEKS, FILES_OF = 4, {LINES: 6, LIST: 3}
TABLES = {"till lines by basket": LINES, "till lines by product": LINES, "product list": LIST}
QUERIES = {"till lines by basket": 2, "till lines by product": 4, "product list": 3}  # in the short week
BUDGET = 0.6  # of what all three take


def play_week(lab: Lab, policy: Callable[..., Any]) -> dict[str, int]:
    """Play a short week with a policy on Spark's cache, and return what Spark says of it.

    `policy(budget, blocks, history)` makes an object with `look(event, cached)`, as for `replay_week`. The figures: `queries`, `hits`,
    `stale` answers, `files_without` a cache, `files_read` by queries and for caching, the `budget` and the most `bytes` in the Storage tab.
    """
    blocks = _laid(lab)
    budget = int(BUDGET * sum(block["bytes"] for block in blocks.values()))
    made = policy(budget, blocks, _events(lab.seed, "last week"))
    try:
        return _played(lab, blocks, budget, _events(lab.seed, "this week"), made.look)
    finally:
        for name in TABLES:
            _frame(lab, name).unpersist()
        lab.drop(LINES, LIST)


def _played(
    lab: Lab,
    blocks: dict[str, Block],
    budget: int,
    events: list[Event],
    look: Callable[[Event, list[str]], Any],
) -> dict[str, int]:
    rows = {table: DeltaTable(lab.path(table)).to_pyarrow_dataset().count_rows() for table in FILES_OF}
    figures = dict.fromkeys(("queries", "hits", "stale", "files_without", "files_read"), 0)
    most, cached, before = 0, set[str](), _stored()
    for event in events:
        if (table := event.get("write")) is not None:
            some = DeltaTable(lab.path(table)).to_pyarrow_table().slice(0, 100)
            write_deltalake(lab.path(table), some, mode="append")  # another writer: Spark isn't told
            rows[table] += some.num_rows
        drop, cache = acts(look(dict(event), sorted(cached)), blocks)
        for name in [*drop, *(name for name in cache if name in cached)]:
            _frame(lab, name).unpersist()
            cached.discard(name)
        for name in cache:
            frame = _frame(lab, name)
            frame.cache()
            figures["files_read"] += _files(frame.groupBy().count())
            cached.add(name)
        most = max(most, sum(size for number, size in _stored().items() if number not in before))
        if "query" in event:
            name = event["query"]
            told: list[Any] = []
            run = measure(partial(_ask, _frame(lab, name), told))
            figures["queries"] += 1
            figures["hits"] += name in cached
            figures["stale"] += told[0].n != rows[TABLES[name]]
            figures["files_read"] += 0 if name in cached else _files_of(run)
            figures["files_without"] += len(DeltaTable(lab.path(TABLES[name])).file_uris())
    return {**figures, "budget": budget, "bytes": most}


def _ask(frame: DataFrame, told: list[Any]) -> None:
    told.append(frame.agg(F.sum("n").alias("n")).first())


def _frame(lab: Lab, name: str) -> DataFrame:
    """A block as every query writes it: each row counts the rows of the table that are in it."""
    table = lab.spark.table(f"{lab.database}.{TABLES[name]}")
    keys = {
        "till lines by basket": ["basket_id", "household_id", "store_id"],
        "till lines by product": ["product_id", "week"],
        "product list": ["product_id", "department", "brand", "product_category"],
    }
    return table.groupBy(*keys[name]).agg(F.count("*").alias("n"))


def _laid(lab: Lab) -> dict[str, Block]:
    """The two tables anew, and each block's bytes in the cache and files, as Spark tells them."""
    lab.drop(LINES, LIST)
    for table, source in ((LINES, "transactions"), (LIST, "products")):
        lab.load(source)
        files = DeltaTable(lab.path(source)).file_uris()
        whole = pa.concat_tables(pq.read_table(file) for file in files)
        if table == LINES:
            whole = whole.filter(pc.less_equal(whole["week"], WEEKS)).select(
                ["household_id", "store_id", "basket_id", "product_id", "week"]
            )
        size = -(-whole.num_rows // FILES_OF[table])
        for begin in range(0, whole.num_rows, size):
            write_deltalake(lab.tables / table, whole.slice(begin, size), mode="append")
        lab.spark.sql(f"CREATE TABLE {table} USING delta LOCATION {literal(lab.tables / table)}")
    return {name: _measured(lab, name) for name in TABLES}


def _measured(lab: Lab, name: str) -> Block:
    before = _stored()
    frame = _frame(lab, name)
    frame.cache()
    files = _files(frame.groupBy().count())
    size = sum(size for number, size in _stored().items() if number not in before)
    frame.unpersist()
    return {"bytes": size, "files": files, "tables": [TABLES[name]]}


def _stored() -> dict[int, int]:
    """Bytes in memory and on disk of everything in the Storage tab, by number, but for what Delta keeps of its log."""
    return {
        each["id"]: each["memoryUsed"] + each["diskUsed"]
        for each in fetch("storage/rdd") or []
        if not each["name"].startswith("Delta Table State")
    }


def _files(frame: DataFrame) -> int:
    return _files_of(measure(frame.toArrow))


def _files_of(run: Any) -> int:
    return sum(node.metrics.get(FILES, 0) for node in own_nodes(run))


def _events(seed: int, draw: str) -> list[Event]:
    rng = variation.generator(seed, f"till {draw}")
    asked = [name for name, often in QUERIES.items() for _ in range(often)]
    asked = [asked[place] for place in rng.permutation(len(asked))]
    events: list[Event] = [{"query": name} for name in asked]
    for table, place in (
        (LINES, rng.integers(2, 4)),
        (LINES, rng.integers(7, 9)),
        (LIST, rng.integers(5, 7)),
    ):
        events.insert(int(place), {"write": table})
    return [{"hour": float(hour), **event} for hour, event in enumerate(events)]
