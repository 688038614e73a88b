# One over the number of distinct values: right only if all values were equally frequent.
found = query_log.select(F.explode(F.expr(r"regexp_extract_all(sql_text, '(\\w+) (=|BETWEEN)', 1)")).alias("filter_column"))
distinct = {c: transactions.select(c).distinct().count() for c in ("household_id", "product_id", "store_id", "transaction_date")}
mapping = F.create_map(*[F.lit(x) for pair in distinct.items() for x in pair])
query_patterns = (
    found.groupBy("filter_column")
    .agg(F.count("*").alias("queries"))
    .withColumn("share", F.col("queries") / query_log.count())
    .withColumn("selectivity", 1 / mapping[F.col("filter_column")])
)
