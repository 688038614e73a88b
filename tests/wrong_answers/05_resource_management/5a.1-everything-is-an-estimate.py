exec(SOLUTION)
joined = {"illness": "estimate", "operator": "SortMergeJoin"}
diagnosis = {
    name: {**joined, "figure": max(each.input_records for each in run.stages)} for name, run in runs.items()
}
