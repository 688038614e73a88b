"""The work of module 1 as one script that knows no engine: it gets a SparkSession, classic or Connect.

The statements follow solutions/01_optimization/01_optimization.py, without its measuring, plotting and checking.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

TABLES = ("transactions", "products", "promotions", "stores")
FILE_SIZE = "spark.databricks.delta.optimize.maxFileSize"  # the module scales it with its tables
Part = Callable[[Any, Mapping[str, Any]], object]


def module_1(spark: Any, sources: Mapping[str, Path]) -> dict[str, float]:
    """Do the module's work in the session's current database; returns the seconds of each part.

    `sources` holds the folder of each course table, in Delta. Nothing is written there.
    """
    frames: dict[str, Any] = {}
    seconds: dict[str, float] = {}

    def timed(name: str, part: Callable[[], object]) -> None:
        began = time.monotonic()
        part()
        seconds[name] = time.monotonic() - began

    timed("load and count", lambda: frames.update(_load(spark, sources)))
    for name, part in PARTS.items():
        timed(name, lambda part=part: part(spark, frames))  # type: ignore[misc]
    return seconds


def small(spark: Any, sources: Mapping[str, Path]) -> None:
    """A little of everything, for the comparison of memory: a join to pandas, a Delta table, its history."""
    frames = _load(spark, {name: sources[name] for name in ("transactions", "products")})
    _departments(frames).toPandas()
    frames["transactions"].where("week <= 10").write.format("delta").saveAsTable("small")
    spark.sql("DESCRIBE HISTORY small").toPandas()


def _load(spark: Any, sources: Mapping[str, Path]) -> dict[str, Any]:
    frames = {name: spark.read.format("delta").load(str(folder)) for name, folder in sources.items()}
    for name, frame in frames.items():
        frame.createOrReplaceTempView(f"{name}_view")
        frame.count()
    return frames


def _to_the_end(frame: Any) -> None:
    """Run a query and keep no rows, as the notebook's `measure` does."""
    frame.write.format("noop").mode("overwrite").save()


def _departments(frames: Mapping[str, Any]) -> Any:
    from pyspark.sql import functions as F

    joined = frames["transactions"].join(frames["products"], "product_id")
    return joined.groupBy("department").agg(F.sum("sales_value").alias("sales"))


def _queries(spark: Any, frames: Mapping[str, Any]) -> None:
    """Lessons 1 to 5: aggregations, a plan, the skew of products, a repartition."""
    from pyspark.sql import functions as F

    transactions = frames["transactions"]
    _to_the_end(transactions.groupBy("store_id").agg(F.sum("sales_value").alias("sales")))
    departments = _departments(frames)
    departments.explain()
    departments.toPandas()
    spent = transactions.groupBy("household_id", "week").agg(F.sum("sales_value").alias("spent"))
    _to_the_end(spent.groupBy("week").agg(F.avg("spent")))
    transactions.groupBy("product_id").count().toPandas()
    _to_the_end(transactions.groupBy("product_id").count())
    _to_the_end(transactions.repartition(64, "store_id").groupBy("product_id").count())


def _cache(spark: Any, frames: Mapping[str, Any]) -> None:
    """Lesson 6: the same aggregation before, for and from a cache."""
    from pyspark.sql import functions as F

    joined = frames["transactions"].join(frames["products"], "product_id")
    expensive = joined.groupBy("store_id", "department").agg(F.sum("sales_value").alias("sales"))
    _to_the_end(expensive)
    expensive.cache()
    expensive.count()
    _to_the_end(expensive)
    expensive.unpersist()


def _tuning(spark: Any, frames: Mapping[str, Any]) -> None:
    """Exercise 1a: the slow query and the tuned one, each measured once."""
    from pyspark.sql import functions as F

    transactions, products, promotions = frames["transactions"], frames["products"], frames["promotions"]
    threshold = spark.conf.get("spark.sql.autoBroadcastJoinThreshold")
    spark.conf.set("spark.sql.autoBroadcastJoinThreshold", "-1")
    _to_the_end(
        transactions.repartition(64, "product_id")
        .join(products, "product_id")
        .join(promotions, ["product_id", "week"])
        .groupBy("department", "display_location")
        .agg(F.count("*").alias("exposures"), F.sum("sales_value").alias("sales"))
    )
    spark.conf.set("spark.sql.autoBroadcastJoinThreshold", threshold)
    listed = promotions.groupBy("product_id", "week", "display_location").agg(F.count("*").alias("times"))
    _to_the_end(
        transactions.join(F.broadcast(products.select("product_id", "department")), "product_id")
        .join(F.broadcast(listed), ["product_id", "week"])
        .groupBy("department", "display_location")
        .agg(F.sum("times").alias("exposures"), F.sum(F.col("times") * F.col("sales_value")).alias("sales"))
    )


def _ctas(spark: Any, frames: Mapping[str, Any]) -> None:
    """Lesson 8: a table from a query."""
    spark.sql("CREATE TABLE zordered USING delta AS SELECT * FROM transactions_view WHERE week <= 10")
    spark.sql("DESCRIBE DETAIL zordered").first()


def _zorder(spark: Any, frames: Mapping[str, Any]) -> None:
    """Lesson 8: small files, then OPTIMIZE with Z-order, and a query that can skip files."""
    spark.conf.set(FILE_SIZE, 64 * 1024)
    spark.sql("OPTIMIZE zordered ZORDER BY (household_id, product_id)").collect()
    spark.sql("SELECT count(*) FROM zordered WHERE household_id = 1").collect()


def _small_files(spark: Any, frames: Mapping[str, Any]) -> None:
    """Lesson 7: forty files, joined by OPTIMIZE."""
    few = frames["transactions"].where("week <= 4")
    few.repartition(40).write.format("delta").saveAsTable("small_files")
    spark.sql("OPTIMIZE small_files").collect()
    spark.sql("DESCRIBE DETAIL small_files").first()


def _clustering(spark: Any, frames: Mapping[str, Any]) -> None:
    """Step 1b.3: a clustered table, other keys, and everything clustered again."""
    spark.conf.set(FILE_SIZE, 256 * 1024)
    spark.sql(
        "CREATE TABLE clustered USING delta CLUSTER BY (transaction_date) AS SELECT * FROM transactions_view"
    )
    spark.sql("OPTIMIZE clustered").collect()
    spark.sql("ALTER TABLE clustered CLUSTER BY (household_id, product_id)")
    spark.sql("OPTIMIZE clustered FULL").collect()


def _history(spark: Any, frames: Mapping[str, Any]) -> None:
    """Lesson 10: the history of what was written, and time travel."""
    for table in ("zordered", "small_files", "clustered"):
        spark.sql(f"DESCRIBE HISTORY {table}").toPandas()
    spark.sql("SELECT sum(sales_value) FROM zordered VERSION AS OF 0").collect()


def _vacuum(spark: Any, frames: Mapping[str, Any]) -> None:
    """Step 1b.5: a dry run of VACUUM, then the real one. Its work is listing folders, whatever there is to delete."""
    spark.sql("VACUUM zordered DRY RUN").count()
    spark.sql("VACUUM zordered").collect()


VACUUM = "VACUUM"
PARTS: dict[str, Part] = {
    "queries": _queries,
    "cache": _cache,
    "slow and tuned join": _tuning,
    "small files, OPTIMIZE": _small_files,
    "CREATE TABLE AS SELECT": _ctas,
    "OPTIMIZE ZORDER": _zorder,
    "liquid clustering": _clustering,
    "history, time travel": _history,
    VACUUM: _vacuum,
}
