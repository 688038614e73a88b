exec(SOLUTION)
pruned = spark.sql(f"""
    SELECT store_id, sum(sales_value) AS sales FROM sales_by_week
    WHERE week IN (SELECT week FROM calendar WHERE event = '{event}')
    AND transaction_date IN (SELECT day FROM calendar WHERE event = '{event}') GROUP BY store_id
""")
