# No pandera: plain Spark, a rule as a function that says which rows break it.
write(
    project / "src/retail/quality.py",
    r'''
from pyspark.sql import functions as F


def check_quality(lines, households, today):
    keyed = lines.where("basket_id IS NOT NULL AND product_id IS NOT NULL")
    groups = keyed.groupBy("basket_id", "product_id").count().where("count > 1")
    stores = lines.groupBy("store_id").agg(F.max("transaction_date").alias("newest")).where(F.date_add("newest", 2) < F.lit(today))
    halves = lines.where(F.col("transaction_date") < F.lit(today)).groupBy("transaction_date").agg(
        F.count_if(F.hour("transaction_timestamp") < 12).alias("early"), F.count_if(F.hour("transaction_timestamp") >= 12).alias("late"), F.count("*").alias("rows")
    )
    known = [row.household_id for row in households.select("household_id").collect()]
    local = r"[A-Za-z0-9_.+-]+"
    counts = {
        "null_key": lines.count() - keyed.count(),
        "duplicate_key": groups.selectExpr("coalesce(sum(count - 1), 0)").first()[0],
        "orphan": lines.where(~F.col("household_id").isin(known)).count(),
        "future_date": lines.where(F.col("transaction_date") > F.lit(today)).count(),
        "impossible_amount": lines.where(~F.col("paid").between(0, 1000)).count(),
        "malformed_email": households.where(~F.col("email").rlike(f"^{local}@([A-Za-z0-9-]+[.])+[A-Za-z0-9-]+$")).count(),
        "stale_store": lines.join(stores, "store_id", "left_semi").count(),
        "half_day_missing": halves.where("early = 0 OR late = 0").agg(F.coalesce(F.sum("rows"), F.lit(0))).first()[0],
    }
    return {rule: rows for rule, rows in counts.items() if rows}
''',
)
quality_rules = project
