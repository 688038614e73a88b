lab.drop("sales_feed", "daily_sales")
spark.sql("CREATE TABLE sales_feed AS SELECT * FROM transactions")
query = """SELECT transaction_date, region, sum(sales_value) AS sales, count(*) AS lines
           FROM sales_feed JOIN stores USING (store_id) GROUP BY ALL"""
spark.sql(f"CREATE TABLE daily_sales AS {query}")
pipeline_file = write_pipeline(lab, "daily_sales", f"QUERY = '''{query}'''").file
