diagnosis = {
    "report_a": {"illness": "cast", "operator": "Scan parquet", "figure": 1344539},
    "report_b": {"illness": "exchange", "operator": "Exchange", "figure": 1469307},
    "report_c": {"illness": "estimate", "operator": "SortMergeJoin", "figure": 3029},
}
