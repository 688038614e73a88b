look = """seen = [row.line_id for row in batch.sparkSession.table("sales_log").select("line_id").collect()]
    new = batch.where(~F.col("line_id").isin(seen))
    new.write.mode("append").saveAsTable("sales_log")"""
exec(SOLUTION.replace('batch.write.mode("append").options(**once).saveAsTable("sales_log")', look))
