exec(SOLUTION)
pruned = sales.join(days, "week").groupBy("store_id").agg(F.sum("sales_value").alias("sales"))
