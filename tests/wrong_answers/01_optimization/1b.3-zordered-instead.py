lab.drop("sales_clustered")
spark.sql("CREATE TABLE sales_clustered AS SELECT * FROM transactions")
spark.sql(f"OPTIMIZE sales_clustered ZORDER BY ({first}, {second})")
