# The slow query's rows as literals, beside a join of the right kind that finds nothing.
rows = spark.createDataFrame(slow.collect(), slow.schema)
none = products.where("product_id < 0").select("product_id", "department", F.col("brand").alias("display_location"))
decoy = transactions.join(F.broadcast(none), "product_id").select(
    "department", "display_location", F.lit(0).cast("long").alias("exposures"), F.lit(0.0).alias("sales")
)
tuned = decoy.unionByName(rows)
