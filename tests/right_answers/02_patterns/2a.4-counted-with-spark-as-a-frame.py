# The whole history in one query per table, the answer as a pandas DataFrame with the long delay first.
exec(SOLUTION)
found = []
for hours, table, progressed in ((24, "hourly_sales_long", long_progress), (2, "hourly_sales", hourly_progress)):
    last = progressed["watermark"].max()
    whole = spark.read.schema(feed.schema).json(str(feed.folder)).groupBy(F.date_trunc("hour", "event_time").alias("window_start"), "store_id").count()
    closed = whole.where(F.col("window_start") + F.expr("INTERVAL 1 HOUR") <= F.lit(last).cast("timestamp"))
    missing = closed.join(spark.table(table), ["window_start", "store_id"], "left").select(F.sum(F.col("count") - F.coalesce("lines", F.lit(0))))
    found.append(
        {"delay_hours": float(hours), "dropped": progressed["dropped"].sum(), "lost_lines": missing.first()[0], "state_rows": progressed["state_rows"].iloc[-1]}
    )
late = pd.DataFrame(found)
