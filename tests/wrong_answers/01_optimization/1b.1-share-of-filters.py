# Divides by the number of filters, not by the number of statements.
exec(SOLUTION)
total = query_patterns.agg(F.sum("queries")).first()[0]
query_patterns = query_patterns.withColumn("share", F.col("queries") / total)
