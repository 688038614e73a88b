# Right rows, but the table called incremental is the full one, copied each night.
exec(SOLUTION)
lab.drop("daily_incremental")
for night in range(1, 5):
    files = [str(feed.folder / f"night-{each}.json") for each in range(1, night + 1)]
    per_day(spark.read.schema(feed.schema).json(files)).write.mode("overwrite").saveAsTable("daily_incremental")
