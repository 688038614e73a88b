for name in ("spark.sql.autoBroadcastJoinThreshold", "spark.sql.shuffle.partitions", "spark.sql.adaptive.enabled"):
    spark.conf.unset(name)
tuning_card = pd.DataFrame(
    {
        "setting": ["spark.sql.autoBroadcastJoinThreshold", "spark.sql.shuffle.partitions", "spark.sql.adaptive.enabled"],
        "value": ["20MB", "8", "true"],
        "reason": ["The products' files take about 1.2 MB.", "20 MB of shuffle, 2.5 MB for each of 8.", "200 tasks became a handful with it."],
    }
)
