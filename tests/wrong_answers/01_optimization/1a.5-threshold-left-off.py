tuning_card = pd.DataFrame(
    {
        "setting": ["spark.sql.autoBroadcastJoinThreshold", "spark.sql.shuffle.partitions", "spark.sql.adaptive.enabled"],
        "value": ["-1", "4", "true"],
        "reason": ["Broadcasts once filled the driver's 3 GB of memory.", "20 MB of shuffle, 5 MB for each of 4.", "200 tasks became a handful with it."],
    }
)
spark.conf.set("spark.sql.autoBroadcastJoinThreshold", "-1")
spark.conf.set("spark.sql.shuffle.partitions", "4")
spark.conf.set("spark.sql.adaptive.enabled", "true")
