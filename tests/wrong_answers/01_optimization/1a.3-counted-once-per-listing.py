# Counts each line once however many stores listed the product.
listed = promotions.select("product_id", "week", "display_location").distinct()
tuned = (
    transactions.join(F.broadcast(products.select("product_id", "department")), "product_id")
    .join(F.broadcast(listed), ["product_id", "week"])
    .groupBy("department", "display_location")
    .agg(F.count("*").alias("exposures"), F.sum("sales_value").alias("sales"))
)
