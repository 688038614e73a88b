# "For the layout a part of the rows will do."
first = query_patterns.where("filter_column <> 'transaction_date'").orderBy(F.desc("queries")).first()[0]
lab.drop("sales_layout")
spark.sql("CREATE TABLE sales_layout AS SELECT * FROM transactions WHERE week > 1")
spark.sql(f"OPTIMIZE sales_layout ZORDER BY ({first})")
