"""Sales lines of one day, from the source's tables to bronze, silver and gold.

| table | holds | key |
|---|---|---|
| `bronze_lines` | lines as they came, load after load: nothing is ever changed | none: a till may send a line twice |
| `silver_lines` | lines cleaned, priced, with `department`, `brand` and the household's `life_stage` | `basket_id`, `product_id` |
| `gold_daily` | by `transaction_date`, `department` and `life_stage`: `lines`, `paid`; without fuel, whose quantity is no number of pieces | these three |

A day may be loaded any number of times: afterwards silver and gold hold each of its lines once, as it was last sent, and other days as they
were.
"""

from __future__ import annotations

import argparse

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from retail.functions import add_products, clean_households, latest_lines, price_lines

SILVER_KEY = ("basket_id", "product_id")


def run(spark: SparkSession, source: str, target: str, day: str) -> None:
    """Load one day ("2017-03-01") from `transactions`, `products` and `households` of the schema `source` into the schema `target`."""
    load_bronze(spark, source, target, day)
    load_silver(spark, source, target, day)
    load_gold(spark, target)


def load_bronze(spark: SparkSession, source: str, target: str, day: str) -> None:
    """The day's lines as they came, beside those that were loaded before."""
    lines = spark.table(f"{source}.transactions").where(F.col("transaction_date") == F.lit(day).cast("date"))
    lines.write.format("delta").mode("append").saveAsTable(f"{target}.bronze_lines")


def load_silver(spark: SparkSession, source: str, target: str, day: str) -> None:
    """The day's lines of bronze, cleaned and with what is known of product and household, merged by their key."""
    lines = spark.table(f"{target}.bronze_lines").where(F.col("transaction_date") == F.lit(day).cast("date"))
    stages = clean_households(spark.table(f"{source}.households")).select("household_id", "life_stage")
    silver = (
        add_products(price_lines(latest_lines(lines)), spark.table(f"{source}.products"))
        .join(stages, "household_id", "left")
        .fillna("unknown", ["life_stage"])
    )
    table = f"{target}.silver_lines"
    if not spark.catalog.tableExists(table):
        silver.write.format("delta").saveAsTable(table)
        return
    same = [F.col(f"silver_lines.{name}") == F.col(f"new.{name}") for name in SILVER_KEY]
    merge = silver.alias("new").mergeInto(table, same[0] & same[1])
    merge.whenMatched().updateAll().whenNotMatched().insertAll().merge()


def load_gold(spark: SparkSession, target: str) -> None:
    """All days' figures, made anew from silver."""
    lines = spark.table(f"{target}.silver_lines").where("department <> 'FUEL'")
    figures = lines.groupBy("transaction_date", "department", "life_stage").agg(
        F.count("*").alias("lines"), F.round(F.sum("paid"), 2).alias("paid")
    )
    figures.write.format("delta").mode("overwrite").saveAsTable(f"{target}.gold_daily")


def main() -> None:
    """`python -m retail.pipeline --source raw --target retail --day 2017-03-01`, as a job calls it."""
    parser = argparse.ArgumentParser(description="Load one day of sales lines.")
    for name in ("source", "target", "day"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args()
    run(SparkSession.builder.getOrCreate(), given.source, given.target, given.day)


if __name__ == "__main__":
    main()
