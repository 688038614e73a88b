exec(SOLUTION)
query_patterns = query_patterns.withColumn("share", F.round("share", 2)).withColumn("selectivity", F.round("selectivity", 2))
