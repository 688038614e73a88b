# Broadcasts both sides and still moves the transactions first.
listed = promotions.groupBy("product_id", "week", "display_location").agg(F.count("*").alias("times"))
tuned = (
    transactions.repartition(64, "product_id")
    .join(F.broadcast(products.select("product_id", "department")), "product_id")
    .join(F.broadcast(listed), ["product_id", "week"])
    .groupBy("department", "display_location")
    .agg(F.sum("times").alias("exposures"), F.sum(F.col("times") * F.col("sales_value")).alias("sales"))
)
