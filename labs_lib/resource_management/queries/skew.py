"""A join with a hot key: the sales lines of the year with a till's fallback product, and where each product was on offer."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable
from pyspark.sql import functions as F
from pyspark.sql.connect.dataframe import DataFrame

from datasets import variation
from labs_lib.lab import Lab

# The cluster of the exercise. Broadcasts are off, as the other side outgrows them on a real one; two large files make two tasks that
# read; and small partitions stay apart, so that a share of bytes is a share of one partition.
CLUSTER = {
    "spark.sql.autoBroadcastJoinThreshold": "-1",
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.adaptive.skewJoin.enabled": "true",
    "spark.sql.adaptive.skewJoin.skewedPartitionThresholdInBytes": "256MB",
    "spark.sql.adaptive.skewJoin.skewedPartitionFactor": "5",
    "spark.sql.adaptive.advisoryPartitionSizeInBytes": "64MB",
    "spark.sql.adaptive.coalescePartitions.enabled": "false",
    "spark.sql.files.maxPartitionBytes": "128MB",
    "spark.sql.files.minPartitionNum": "2",
    "spark.sql.shuffle.partitions": "16",
}
HOT_SHARE = (0.40, 0.50)  # of all lines that the fallback product gets, drawn by the seed
SELLERS, PLACES = (
    40,
    (2, 4),
)  # the fallback product is one of so many best sellers, and was on offer in so many places


def scans_of(lab: Lab) -> DataFrame:
    """The sales lines as the tills sent them: when a label couldn't be read, a till booked the line on one fallback product.

    Which product that is, and how often it happened, depends on the seed.
    """
    draw = variation.generator(lab.seed, "unread labels")
    share = draw.uniform(*HOT_SHARE)
    unread = F.pmod(F.xxhash64("basket_id", "product_id"), F.lit(1000)) < int(1000 * share)
    product = F.when(unread, F.lit(_fallback(lab, int(draw.integers(1000))))).otherwise(F.col("product_id"))
    kept = ["household_id", "store_id", "basket_id", "week", "sales_value"]
    return cast(DataFrame, lab.load("transactions").select(*kept, product.alias("product_id")))


def offers_of(lab: Lab) -> DataFrame:
    """In which places of its stores the chain had each product on offer, and how often: one to ten rows a product."""
    offers = lab.load("promotions").groupBy("product_id", "display_location")
    return cast(DataFrame, offers.agg(F.count("*").alias("listings")))


def skewed_join(lab: Lab) -> DataFrame:
    """Lines and sales by the places where their products were on offer: the join that one task does most of."""
    joined = scans_of(lab).join(offers_of(lab), "product_id").groupBy("display_location")
    return cast(DataFrame, joined.agg(F.count("*").alias("lines"), F.sum("sales_value").alias("sales")))


def _fallback(lab: Lab, draw: int) -> int:
    lab.load("transactions")
    lab.load("promotions")
    return _drawn(lab.path("transactions"), lab.path("promotions"), draw)


@lru_cache(maxsize=8)
def _drawn(transactions: Path, promotions: Path, draw: int) -> int:
    def columns(folder: Path, *names: str) -> pa.Table:
        return pa.concat_tables(
            pq.read_table(file, columns=list(names)) for file in DeltaTable(folder).file_uris()
        )

    offers = columns(promotions, "product_id", "display_location")
    offers = offers.group_by(["product_id", "display_location"]).aggregate([])
    places = offers.group_by("product_id").aggregate([([], "count_all")])
    low, high = PLACES
    few = places.filter(
        pc.and_(pc.greater_equal(places["count_all"], low), pc.less_equal(places["count_all"], high))
    )
    lines = columns(transactions, "product_id").group_by("product_id").aggregate([([], "count_all")])
    lines = lines.filter(pc.is_in(lines["product_id"], few["product_id"]))
    best = lines.sort_by([("count_all", "descending"), ("product_id", "ascending")]).slice(0, SELLERS)
    return int(best["product_id"][draw % best.num_rows].as_py())
