wanted = {
    "spark.sql.autoBroadcastJoinThreshold": (str(32 * 2**20), "The promotions take 5 MB, the products 1.2 MB, well below 32 MiB."),
    "spark.sql.shuffle.partitions": (8, "About 20 MB in the largest shuffle leaves 2.5 MB a task."),
    "spark.sql.adaptive.enabled": (True, "Without it 200 tasks ran for a few kilobytes."),
    "spark.sql.files.maxPartitionBytes": ("16m", "13 MB of transactions files would be one or two tasks at 128 MB."),
}
for name, (value, _) in wanted.items():
    spark.conf.set(name, value)
tuning_card = [{"reason": reason, "setting": name, "value": spark.conf.get(name)} for name, (_, reason) in wanted.items()]
