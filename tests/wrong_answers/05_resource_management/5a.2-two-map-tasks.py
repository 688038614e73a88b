exec(SOLUTION)
del aqe_settings["spark.sql.files.maxPartitionBytes"]
