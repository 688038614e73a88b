spark.sql("CREATE OR REPLACE TEMPORARY VIEW narrow AS SELECT product_id, department FROM products")
tuned = spark.sql(
    """SELECT /*+ BROADCAST(n), BROADCAST(p) */ department, display_location, count(*) AS exposures, sum(sales_value) AS sales
       FROM transactions t JOIN narrow n ON t.product_id = n.product_id
       JOIN promotions p ON t.product_id = p.product_id AND t.week = p.week
       GROUP BY ALL"""
)
