"""The workload whose classes the archive holds: what every notebook does first. Run with an address and a folder."""

from __future__ import annotations

import sys

from pyspark.sql import SparkSession, functions

from labs_lib.engine.sql import literal

if __name__ == "__main__":
    address, folder = sys.argv[1:]
    spark = SparkSession.builder.remote(address).create()
    spark.sql(f"CREATE DATABASE training LOCATION {literal(folder)}")
    spark.sql("USE training")
    spark.range(1000).withColumn("key", functions.col("id") % 7).write.format("delta").saveAsTable("numbers")
    spark.range(1000, 2000).withColumn("key", functions.col("id") % 7).write.insertInto("numbers")
    spark.sql("OPTIMIZE numbers ZORDER BY (key)").collect()
    spark.sql(
        "MERGE INTO numbers t USING (SELECT id, id % 5 AS key FROM range(10)) s ON t.id = s.id "
        "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    ).collect()
    spark.sql("DESCRIBE HISTORY numbers").toPandas()
    numbers = spark.table("numbers")
    numbers.join(numbers.groupBy("key").count(), "key").groupBy("key").sum("count").orderBy("key").toPandas()
    numbers.hint("shuffle_merge").join(numbers.hint("shuffle_merge"), "key").agg(
        functions.count("*")
    ).collect()
    numbers.explain()
    spark.stop()
