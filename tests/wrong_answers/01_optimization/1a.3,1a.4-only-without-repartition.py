# Takes the repartition out and leaves both joins shuffled.
tuned = (
    transactions.join(products, "product_id")
    .join(promotions, ["product_id", "week"])
    .groupBy("department", "display_location")
    .agg(F.count("*").alias("exposures"), F.sum("sales_value").alias("sales"))
)
