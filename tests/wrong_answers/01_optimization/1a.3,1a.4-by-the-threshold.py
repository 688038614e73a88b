# Changes the setting for everybody on the cluster, and with it the slow query that step 1a.4 measures.
spark.conf.set("spark.sql.autoBroadcastJoinThreshold", "64MB")
tuned = (
    transactions.join(products, "product_id")
    .join(promotions, ["product_id", "week"])
    .groupBy("department", "display_location")
    .agg(F.sum("sales_value").alias("sales"), F.count("*").alias("exposures"))
)
