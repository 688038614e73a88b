# Hands in the slow query itself, right in its rows, under a view's name: half of the points at most, as its joins shuffle.
slow.createOrReplaceTempView("quick")
tuned = spark.table("quick")
