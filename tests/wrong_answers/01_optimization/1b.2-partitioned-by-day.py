# The source text's own advice: partition by a column of many values.
lab.drop("sales_layout")
spark.sql("CREATE TABLE sales_layout PARTITIONED BY (transaction_date) AS SELECT * FROM transactions")
spark.sql("OPTIMIZE sales_layout")
