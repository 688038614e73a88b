# What the tables hold in place of what was read.
exec(SOLUTION)
for row in cost:
    row["incremental_bytes"] = row["full_bytes"] = int(spark.sql("DESCRIBE DETAIL daily_full").first().sizeInBytes)
