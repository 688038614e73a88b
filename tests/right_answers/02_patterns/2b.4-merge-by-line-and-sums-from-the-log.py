def write_batch(batch, batch_id):
    session = batch.sparkSession
    batch.createOrReplaceTempView("incoming")
    session.sql("MERGE INTO sales_log t USING incoming b ON t.line_id = b.line_id WHEN NOT MATCHED THEN INSERT *")
    session.sql("""
        MERGE INTO store_totals t
        USING (
            SELECT store_id, count(*) AS lines, sum(sales_value) AS sales FROM sales_log
            WHERE store_id IN (SELECT store_id FROM incoming) GROUP BY store_id
        ) b ON t.store_id = b.store_id
        WHEN MATCHED AND t.lines <> b.lines THEN UPDATE SET *
        WHEN NOT MATCHED THEN INSERT *
    """)


play_deliveries(lab, write_batch)
