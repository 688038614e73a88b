lab.drop("sales_clustered")
spark.sql(f"CREATE TABLE sales_clustered CLUSTER BY ({first}, {second}) AS SELECT * FROM transactions")
spark.sql("OPTIMIZE sales_clustered")
