def write_batch(batch, batch_id):
    session = batch.sparkSession
    batch.createOrReplaceTempView("incoming")
    session.conf.set("spark.databricks.delta.write.txnAppId", f"feed/{batch_id}")
    session.conf.set("spark.databricks.delta.write.txnVersion", "0")
    try:
        session.sql("INSERT INTO sales_log SELECT * FROM incoming")
        sums = session.sql("SELECT store_id, count(*) AS lines, sum(sales_value) AS sales FROM incoming GROUP BY store_id")
        (
            sums.alias("b")
            .mergeInto("store_totals", F.expr("store_totals.store_id = b.store_id"))
            .whenMatched()
            .update({"lines": F.expr("store_totals.lines + b.lines"), "sales": F.expr("store_totals.sales + b.sales")})
            .whenNotMatched()
            .insertAll()
            .merge()
        )
    finally:
        session.conf.unset("spark.databricks.delta.write.txnAppId")
        session.conf.unset("spark.databricks.delta.write.txnVersion")


play_deliveries(lab, write_batch)
