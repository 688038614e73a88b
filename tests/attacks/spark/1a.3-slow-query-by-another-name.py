# Hands in the slow query itself, right in its rows, under a view's name. Earns: 1, for the rows.
slow.createOrReplaceTempView("quick")
tuned = spark.table("quick")
