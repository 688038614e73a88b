"""Three slow reports, each with an illness of its own. The seed decides which of four illnesses, and which report has which."""

from __future__ import annotations

from typing import cast

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.connect.dataframe import DataFrame as Connected

from datasets import variation
from labs_lib.lab import Lab
from labs_lib.measuring.spark_ui import Run
from labs_lib.resource_management.queries.skew import scans_of
from labs_lib.resource_management.queries.tasks import ROWS, SHUFFLED, SPILL, own_nodes, spilled

NAMES = ("report_a", "report_b", "report_c")
ILLNESSES = ("spill", "estimate", "exchange", "cast")
# A cluster as an old runbook has it: no AQE, a broadcast threshold 160 times below the default, and for a window's rows as little
# memory as a task on a busy executor has for a thousand times as many.
OLD_CLUSTER = {
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.autoBroadcastJoinThreshold": "64KB",
    "spark.sql.shuffle.partitions": "4",
    "spark.sql.files.maxPartitionBytes": "128MB",
    "spark.sql.files.minPartitionNum": "2",
    "spark.sql.windowExec.buffer.in.memory.threshold": "4096",
    "spark.sql.windowExec.buffer.spill.threshold": "32768",
}
CATEGORIES = ("BEER", "CANDY", "CHEESE", "COFFEE", "YOGURT", "SOUP")
WEEKS = 20  # of the year, that the spilling report looks at


def illnesses(seed: int) -> dict[str, str]:
    """Which report has which illness under a seed."""
    order = variation.generator(seed, "slow reports").permutation(len(ILLNESSES))
    return {name: ILLNESSES[place] for name, place in zip(NAMES, order, strict=False)}


def slow_reports(lab: Lab) -> dict[str, Connected]:
    """The three slow reports by name."""
    made = {"spill": _spill, "estimate": _estimate, "exchange": _exchange, "cast": _cast}
    return {name: cast(Connected, made[illness](lab)) for name, illness in illnesses(lab.seed).items()}


def proof(run: Run, illness: str) -> tuple[str, int]:
    """The operator that shows an illness in a run of its report, and the figure that proves it."""
    nodes = own_nodes(run)
    if illness == "spill":
        return next(node.name for node in nodes if node.metrics.get(SPILL)), spilled(run)
    rows = [node.metrics[ROWS] for node in nodes if node.name == "Filter" and ROWS in node.metrics]
    if illness == "estimate":
        return "SortMergeJoin", min(rows)
    if illness == "exchange":
        return "Exchange", max(node.metrics.get(SHUFFLED, 0) for node in nodes)
    scanned = [node.metrics[ROWS] for node in nodes if node.name.startswith("Scan ")]
    return "Scan", max(scanned) - min(rows)


def _spill(lab: Lab) -> DataFrame:
    product = Window.partitionBy("product_id")
    apart = F.col("sales_value") - F.avg("sales_value").over(product)
    return (
        scans_of(lab)
        .where(F.col("week") <= WEEKS)
        .select("product_id", "store_id", "sales_value")
        .withColumn("apart", apart)
        .groupBy("store_id")
        .agg(F.max("apart").alias("apart"))
    )


def _estimate(lab: Lab) -> DataFrame:
    category = variation.generator(lab.seed, "category").choice(CATEGORIES)
    some = lab.load("products").where(F.upper("product_category").contains(str(category)))
    return (
        lab.load("transactions")
        .join(some.select("product_id", "brand"), "product_id")
        .groupBy("store_id", "brand")
        .agg(F.sum("sales_value").alias("sales"))
    )


def _exchange(lab: Lab) -> DataFrame:
    key = str(variation.generator(lab.seed, "exchange").choice(["household_id", "store_id"]))
    lines = lab.load("transactions")
    total = lines.repartition(key).groupBy(key).agg(F.sum("sales_value").alias("total"))
    weekly = lines.repartition(key).groupBy(key, "week").agg(F.sum("sales_value").alias("sales"))
    return weekly.join(total, key).groupBy("week").agg(F.max(F.col("sales") - F.col("total")).alias("apart"))


def _cast(lab: Lab) -> DataFrame:
    lines = lab.load("transactions")
    (first,) = lines.agg(F.min("transaction_date")).collect()[0]
    month = int(variation.generator(lab.seed, "month").integers(2, 11))
    text = F.add_months(F.lit(first).cast("date"), month).cast("string").substr(1, 7)
    return (
        lines.where(F.col("transaction_date").cast("string").startswith(text))
        .groupBy("store_id")
        .agg(F.sum("sales_value").alias("sales"))
    )
