exec(SOLUTION)
pruning = {name: "dynamic" if kind == "static" else kind for name, kind in pruning.items()}
