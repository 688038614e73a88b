# All files first, then one run: one micro-batch with data, so no watermark was there when the late lines came.
feed = sales_feed(lab, "hourly_sales")
forget_stream(lab, "hourly_sales")
lab.drop("hourly_sales")
for night in feed.arrivals():
    pass
grouped = (
    spark.readStream.schema(feed.schema)
    .json(str(feed.folder))
    .withWatermark("event_time", "2 hours")
    .groupBy(F.window("event_time", "1 hour").alias("window"), "store_id")
    .agg(F.count("*").alias("lines"), F.sum("sales_value").alias("sales"))
    .select(F.col("window.start").alias("window_start"), "store_id", "lines", "sales")
)
hourly_progress = run_stream(lab, "hourly_sales", grouped.writeStream.outputMode("append"), table="hourly_sales")
