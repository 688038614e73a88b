spark.sql("ALTER TABLE sales_retention SET TBLPROPERTIES ('delta.deletedFileRetentionDuration' = 'interval 168 hours')")
spark.sql("ALTER TABLE sales_retention SET TBLPROPERTIES ('delta.logRetentionDuration' = 'interval 30 days')")
dry_run = {"files": len(spark.sql("VACUUM sales_retention RETAIN 168 HOURS DRY RUN").toPandas())}
spark.sql("VACUUM sales_retention RETAIN 168 HOURS")
oldest_readable = -1
for version in reversed(range(8)):
    try:
        spark.read.option("versionAsOf", version).table("sales_retention").count()
        oldest_readable = version
    except Exception:
        break
