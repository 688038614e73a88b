# Without the library: one aggregation, a decision, a write.
rules = {
    "usual_quantity": ("warn", "quantity BETWEEN 1 AND 24"),
    "known_product": ("drop", "department IS NOT NULL"),
    "positive_value": ("drop", "sales_value > 0"),
    "identified": ("fail", "line_id IS NOT NULL"),
}
lab.drop("quality_metrics", "sales_checked")
for number in (1, 2, 3):
    sales_batches.land(lab, number)
    batch = spark.table("sales_landing").join(spark.table("products").select("product_id", "department"), "product_id", "left")
    passed = batch.agg(F.count("*").alias("n"), *(F.count_if(F.expr(condition)).alias(rule) for rule, (_, condition) in rules.items())).first()
    rows = [(number, "sales_checked", rule, action, passed[rule], passed.n - passed[rule]) for rule, (action, _) in rules.items()]
    metrics = spark.createDataFrame(rows, "run INT, dataset STRING, rule STRING, action STRING, passed_records LONG, failed_records LONG")
    metrics.write.mode("append").saveAsTable("quality_metrics")
    if passed.identified == passed.n:
        batch.where("department IS NOT NULL AND sales_value > 0").write.mode("append").saveAsTable("sales_checked")
