exec(SOLUTION.replace('spark.sql("VACUUM sales_retention")', ""))
