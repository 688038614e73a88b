exec(SOLUTION)
weeks = [row.week for row in calendar.where(F.col("event") == event).select("week").distinct().collect()]
pruned = sales.where(F.col("week").isin(weeks)).groupBy("store_id").agg(F.sum("sales_value").alias("sales"))
