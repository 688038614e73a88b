lines = transactions.groupBy("product_id").agg(F.count("*").alias("lines"))
average, total = lines.agg(F.avg("lines"), F.sum("lines")).first()
hot_keys = lines.where(F.col("lines") >= 100 * average).withColumn("share", F.col("lines") / total)
shuffle_join = {"operator": "SortMergeJoin", "keys": ["product_id"]}
