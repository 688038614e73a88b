# The batch is written, found bad, and taken out again: readers saw it in between.
exec(SOLUTION)
spark.sql("INSERT INTO sales_checked BY NAME SELECT l.*, department FROM sales_landing l JOIN products p ON l.product_id = p.product_id")
spark.sql("RESTORE TABLE sales_checked TO VERSION AS OF 1")
