transactions.groupBy("product_id").count().createOrReplaceTempView("counted")
hot_keys = spark.sql(
    """WITH whole AS (SELECT avg(count) AS mean, sum(count) AS total FROM counted)
       SELECT count / total AS share, product_id, count AS lines FROM counted, whole WHERE count >= 100 * mean ORDER BY lines"""
)
shuffle_join = {"keys": ("week", "product_id"), "operator": "SortMergeJoin"}
