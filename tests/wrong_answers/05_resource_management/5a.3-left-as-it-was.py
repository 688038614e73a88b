exec(SOLUTION)
pruned = queries[next(name for name, kind in pruning.items() if kind == "key")]
