# Averages over the products table, in which many products were never sold.
average = transactions.count() / products.count()
total = transactions.count()
hot_keys = (
    transactions.groupBy("product_id")
    .agg(F.count("*").alias("lines"))
    .where(F.col("lines") >= 100 * average)
    .withColumn("share", F.col("lines") / total)
)
shuffle_join = {"operator": "SortMergeJoin", "keys": ["product_id", "week"]}
