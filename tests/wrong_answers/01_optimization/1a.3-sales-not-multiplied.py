# Forgets that a counted promotion stands for several rows.
listed = promotions.groupBy("product_id", "week", "display_location").agg(F.count("*").alias("times"))
tuned = (
    transactions.join(F.broadcast(products.select("product_id", "department")), "product_id")
    .join(F.broadcast(listed), ["product_id", "week"])
    .groupBy("department", "display_location")
    .agg(F.sum("times").alias("exposures"), F.sum("sales_value").alias("sales"))
)
