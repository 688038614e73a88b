first = query_patterns.where("filter_column <> 'transaction_date'").orderBy(F.desc("queries")).first()[0]
spark.sql("CREATE OR REPLACE TABLE sales_layout AS SELECT * FROM transactions")
spark.sql(f"OPTIMIZE sales_layout ZORDER BY ({first}, transaction_date)")
