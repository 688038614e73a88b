aqe_settings = {
    "spark.sql.adaptive.skewJoin.skewedPartitionThresholdInBytes": 32768,
    "spark.sql.adaptive.skewJoin.skewedPartitionFactor": 1.5,
    "spark.sql.adaptive.advisoryPartitionSizeInBytes": "40k",
    "spark.sql.files.maxPartitionBytes": "512k",
}
scans.createOrReplaceTempView("scans")
offers.createOrReplaceTempView("offers")
top = spark.sql("SELECT product_id FROM scans GROUP BY product_id ORDER BY count(*) DESC LIMIT 1").first().product_id
salted = spark.sql(f"""
    WITH l AS (SELECT product_id, sales_value, CASE WHEN product_id = {top} THEN CAST(pmod(xxhash64(basket_id, week), 96) AS INT) ELSE 0 END AS salt FROM scans),
         o AS (SELECT product_id, display_location, explode(sequence(0, CASE WHEN product_id = {top} THEN 95 ELSE 0 END)) AS salt FROM offers)
    SELECT o.display_location, count(*) AS lines, sum(l.sales_value) AS sales
    FROM l JOIN o ON l.product_id = o.product_id AND l.salt = o.salt GROUP BY o.display_location
""")
