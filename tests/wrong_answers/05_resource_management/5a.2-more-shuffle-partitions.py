exec(SOLUTION)
aqe_settings = {"spark.sql.shuffle.partitions": "200"}
