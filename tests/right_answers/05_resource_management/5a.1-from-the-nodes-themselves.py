diagnosis = {}
with spark_conf(spark, OLD_CLUSTER):
    for name, report in reports.items():
        run = measure(report)
        read = sum(node.metrics["number of output rows"] for node in run.nodes if node.name.startswith("Scan parquet"))
        kept = [row["rows out"] for row in operators(run).to_dict("records") if row["operator"] == "Filter"]
        text = outline(report, show=False)
        where = [node.name for node in run.nodes if node.metrics.get("spill size")]
        if where:
            diagnosis[name] = {"illness": "spill", "operator": where[0], "figure": sum(each.spill for each in run.stages)}
        elif "SortMergeJoin" not in text:
            diagnosis[name] = {"illness": "cast", "operator": "Scan", "figure": read - min(kept)}
        elif "FileScan products" in text:
            diagnosis[name] = {"illness": "estimate", "operator": "SortMergeJoin", "figure": min(kept)}
        else:
            diagnosis[name] = {"illness": "exchange", "operator": "Exchange", "figure": read // 2}
