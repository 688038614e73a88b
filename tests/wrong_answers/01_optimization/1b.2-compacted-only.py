lab.drop("sales_layout")
spark.sql("CREATE TABLE sales_layout AS SELECT * FROM transactions")
spark.sql("OPTIMIZE sales_layout")
