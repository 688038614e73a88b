# Without run_stream: plain Structured Streaming, a window_end column besides, and progress read by hand.
feed = sales_feed(lab, "by_hand")
folder = lab.folder / "checkpoints" / "by_hand"
forget_stream(lab, "by_hand")
lab.drop("hourly_sales")
rows = []
for night in range(1, 5):
    feed.deliver(night)
    grouped = (
        spark.readStream.schema(feed.schema)
        .format("json")
        .load(str(feed.folder))
        .withWatermark("event_time", "120 minutes")
        .groupBy("store_id", F.window("event_time", "1 hour"))
        .agg(F.sum("sales_value").alias("sales"), F.count("line_id").alias("lines"))
        .selectExpr("store_id", "window.start AS window_start", "window.end AS window_end", "lines", "sales")
    )
    query = grouped.writeStream.trigger(availableNow=True).option("checkpointLocation", str(folder)).toTable("hourly_sales")
    query.awaitTermination()
    for progress in query.recentProgress:
        state = progress["stateOperators"][0]
        rows.append(
            {
                "batch": progress["batchId"],
                "input_rows": sum(source["numInputRows"] for source in progress["sources"]),
                "watermark": progress["eventTime"]["watermark"][:19],
                "state_rows": state["numRowsTotal"],
                "dropped": state["numRowsDroppedByWatermark"],
            }
        )
hourly_progress = pd.DataFrame(rows)
