spark.conf.set("spark.sql.autoBroadcastJoinThreshold", "64MB")
tuned = (
    transactions.join(products, "product_id")
    .join(promotions, ["product_id", "week"])
    .groupBy("department", "display_location")
    .agg(F.sum("sales_value").alias("sales"), F.count("*").alias("exposures"))
)
