# Replaces course tables by small views, queries those and drops them. A query is looked at when it runs, so this one is the slow query
# by another name. Earns: 1
transactions.limit(10).localCheckpoint().createOrReplaceTempView("transactions")
promotions.limit(10).createOrReplaceTempView("promotions")
tuned = spark.sql(
    "SELECT department, display_location, count(*) exposures, sum(sales_value) sales FROM transactions JOIN products USING (product_id)"
    " JOIN promotions USING (product_id, week) GROUP BY 1, 2"
)
spark.catalog.dropTempView("transactions")
spark.catalog.dropTempView("promotions")
