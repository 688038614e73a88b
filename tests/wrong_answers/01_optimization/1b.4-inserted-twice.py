exec(SOLUTION)
spark.sql("INSERT INTO sales_feed SELECT * FROM transactions WHERE week > 40")
run_pipeline(daily.spec)
