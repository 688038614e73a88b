# The figure of the source text and of many a guide, whatever the size.
spark.conf.set("spark.sql.autoBroadcastJoinThreshold", "10MB")
spark.conf.set("spark.sql.shuffle.partitions", "200")
spark.conf.set("spark.sql.adaptive.enabled", "true")
reasons = ["The products' files take about 1.2 MB.", "It is what 9 of 10 guides recommend.", "200 tasks became a handful with it."]
settings = ["spark.sql.autoBroadcastJoinThreshold", "spark.sql.shuffle.partitions", "spark.sql.adaptive.enabled"]
tuning_card = pd.DataFrame({"setting": settings, "value": [spark.conf.get(s) for s in settings], "reason": reasons})
