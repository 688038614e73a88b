append = 'batch.write.mode("append").options(**once).saveAsTable("sales_log")'
merge = """batch.createOrReplaceTempView("incoming")
    batch.sparkSession.sql("MERGE INTO sales_log t USING incoming b ON t.line_id = b.line_id WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *")"""
exec(SOLUTION.replace(append, merge))
