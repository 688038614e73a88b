# "Dropped is what arrives later than the delay": true for too many, since only a closed window drops.
exec(SOLUTION)
whole = spark.read.schema(feed.schema).json(str(feed.folder))
behind = (F.unix_timestamp("arrived_at") - F.unix_timestamp("event_time")) / 3600
for row in late:
    row["lost_lines"] = whole.where(behind > row["delay_hours"]).count()
