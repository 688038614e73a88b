total = transactions.count()
hot_keys = (
    transactions.groupBy("product_id")
    .agg(F.count("*").alias("lines"))
    .orderBy(F.desc("lines"))
    .limit(20)
    .withColumn("share", F.col("lines") / total)
)
shuffle_join = {"operator": "SortMergeJoin", "keys": ["product_id", "week"]}
