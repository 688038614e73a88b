lab.drop("sales_clustered")
spark.sql("CREATE TABLE sales_clustered CLUSTER BY (transaction_date) AS SELECT * FROM transactions")
spark.sql("OPTIMIZE sales_clustered")
spark.sql(f"ALTER TABLE sales_clustered CLUSTER BY ({first}, {second})")
