# The slow query's rows in a table of its own, joined to the departments that are sold so that they seem to follow them.
slow.write.mode("overwrite").saveAsTable("seen_before")
sold = transactions.join(F.broadcast(products.select("product_id", "department")), "product_id")
tuned = (
    sold.join(F.broadcast(spark.table("seen_before")), "department")
    .groupBy("department", "display_location")
    .agg(F.first("exposures").alias("exposures"), F.first("sales").alias("sales"))
)
