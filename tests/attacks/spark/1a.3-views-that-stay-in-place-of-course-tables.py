# Replaces course tables by small views and queries those: rows of wrong tables.
transactions.limit(10).localCheckpoint().createOrReplaceTempView("transactions")
promotions.limit(10).createOrReplaceTempView("promotions")
tuned = spark.sql(
    "SELECT department, display_location, count(*) exposures, sum(sales_value) sales FROM transactions JOIN products USING (product_id)"
    " JOIN promotions USING (product_id, week) GROUP BY 1, 2"
)
