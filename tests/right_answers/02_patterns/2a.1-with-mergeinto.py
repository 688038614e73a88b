from pyspark.sql import Window

new_dimension()
details = ["address", "income", "household_size"]
by_time = Window.partitionBy("household_id").orderBy("valid_from")
for number in [1, 2, 3, 4]:
    records = spark.table("household_changes").where(F.col("batch") == number).withColumnRenamed("effective_at", "valid_from").drop("batch").distinct()
    known = spark.table("household_history").join(records.select("household_id").distinct(), "household_id", "left_semi").select(records.columns)
    new = records.join(known, ["household_id", "valid_from"], "left_anti").select(records.columns)
    events = known.withColumn("there", F.lit(True)).union(new.withColumn("there", F.lit(False)))
    same = F.lit(True)
    for name in details:
        same = same & F.col(name).eqNullSafe(F.lag(name).over(by_time))
    first = F.row_number().over(by_time) == 1
    versions = (
        events.withColumn("keep", F.col("there") | first | ~same)
        .where("keep")
        .withColumn("valid_to", F.lead("valid_from").over(by_time))
        .withColumn("is_current", F.col("valid_to").isNull())
        .drop("keep", "there")
    )
    (
        versions.alias("new")
        .mergeInto("household_history", F.expr("household_history.household_id = new.household_id AND household_history.valid_from = new.valid_from"))
        .whenMatched(F.expr("NOT household_history.valid_to <=> new.valid_to"))
        .update({"valid_to": F.expr("new.valid_to"), "is_current": F.expr("new.is_current")})
        .whenNotMatched()
        .insertAll()
        .merge()
    )
