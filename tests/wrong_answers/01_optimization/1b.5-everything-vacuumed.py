# The shortcut that every forum offers: no safety check, no window.
spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
exec(SOLUTION.replace("VACUUM sales_retention\"", "VACUUM sales_retention RETAIN 0 HOURS\""))
spark.conf.unset("spark.databricks.delta.retentionDurationCheck.enabled")
