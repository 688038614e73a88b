# mergeInto in place of SQL, INSERT OVERWRITE for the full table, and an explicit count of the night's file against the progress.
feed = sales_feed(lab, "other_way")
forget_stream(lab, "other_way")
lab.drop("daily_incremental", "daily_full")
for name in ("daily_incremental", "daily_full"):
    spark.sql(f"CREATE TABLE {name} (day DATE, store_id INT, lines LONG, sales DOUBLE)")


def keep(batch, batch_id):
    from pyspark.sql import functions as G

    sums = batch.groupBy(G.to_date("event_time").alias("day"), "store_id").agg(G.count("*").alias("lines"), G.sum("sales_value").alias("sales")).alias("s")
    same = (G.col("s.day") == G.col("daily_incremental.day")) & (G.col("s.store_id") == G.col("daily_incremental.store_id"))
    added = {
        "lines": G.col("daily_incremental.lines") + G.col("s.lines"),
        "sales": G.col("daily_incremental.sales") + G.col("s.sales"),
    }
    sums.mergeInto("daily_incremental", same).whenMatched().update(added).whenNotMatched().insertAll().merge()


cost = []
for night in feed.arrivals():
    runs = []
    stream = spark.readStream.schema(feed.schema).json(str(feed.folder)).writeStream.foreachBatch(keep)
    stream_run = measure(lambda: runs.append(run_stream(lab, "other_way", stream)))
    spark.read.schema(feed.schema).json(str(feed.folder)).createOrReplaceTempView("all_lines")
    full = measure(
        lambda: spark.sql(
            "INSERT OVERWRITE daily_full SELECT date(event_time) AS day, store_id, count(*) AS lines, sum(sales_value) AS sales FROM all_lines GROUP BY ALL"
        )
    )
    rows = {"incremental_rows": runs[0]["input_rows"].sum(), "full_rows": rows_read(full)}
    read = {"incremental_bytes": sum(stage.input_bytes for stage in stream_run.stages), "full_bytes": full.input_bytes}
    cost.append({"night": night} | rows | read)
cost = pd.DataFrame(cost)
