# Every delivery is said to be written, and everything is written at the end.
play_deliveries(lab, lambda batch, batch_id: None)
for rows in deliveries.batches(lab.seed).values():
    spark.createDataFrame(rows).write.mode("append").saveAsTable("sales_log")
sums = spark.table("sales_log").groupBy("store_id").agg(F.count("*").alias("lines"), F.sum("sales_value").alias("sales"))
sums.write.mode("append").saveAsTable("store_totals")
