# The source text's recipe: one bad line sends its whole batch to the error table.
checkpoint = lab.folder / "checkpoints" / "dirty_sales_try"
database = lab.database


def process(batch, batch_id):
    try:
        parsed = batch.select(F.from_json("value", "line_id STRING, store_id STRING, product_id STRING, quantity STRING, sales_value STRING, sold_at STRING").alias("it"))
        typed = parsed.selectExpr(
            "CAST(it.line_id AS LONG) AS line_id", "CAST(it.store_id AS INT) AS store_id", "CAST(it.product_id AS INT) AS product_id",
            "CAST(it.quantity AS INT) AS quantity", "CAST(it.sales_value AS DOUBLE) AS sales_value", "CAST(it.sold_at AS TIMESTAMP) AS sold_at",
        ).withColumn("batch_id", F.lit(batch_id).cast("long"))
        typed.write.mode("append").saveAsTable(f"{database}.sales_accepted")
    except Exception as error:
        failed = batch.select(F.col("value").alias("raw"), F.lit(str(error)[:200]).alias("reason"), F.lit(batch_id).cast("long").alias("batch_id"), F.current_timestamp().alias("failed_at"))
        failed.write.mode("append").saveAsTable(f"{database}.sales_dead_letter")


lab.drop("sales_accepted", "sales_dead_letter")
shutil.rmtree(checkpoint, ignore_errors=True)
spark.sql("CREATE TABLE sales_accepted (line_id LONG, store_id INT, product_id INT, quantity INT, sales_value DOUBLE, sold_at TIMESTAMP, batch_id LONG)")
spark.sql("CREATE TABLE sales_dead_letter (raw STRING, reason STRING, batch_id LONG, failed_at TIMESTAMP)")
feed.deliver(3)
lines = spark.readStream.option("maxFilesPerTrigger", 1).text(str(feed.folder))
lines.writeStream.foreachBatch(process).option("checkpointLocation", str(checkpoint)).trigger(availableNow=True).start().awaitTermination()
