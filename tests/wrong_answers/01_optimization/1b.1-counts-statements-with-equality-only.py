query_patterns = (
    query_log.select(F.regexp_extract("sql_text", r"(\w+) = (\d+)", 1).alias("filter_column"))
    .where("filter_column <> ''")
    .groupBy("filter_column")
    .agg(F.count("*").alias("queries"))
    .withColumn("share", F.col("queries") / 2000)
    .withColumn("selectivity", F.lit(0.01))
)
