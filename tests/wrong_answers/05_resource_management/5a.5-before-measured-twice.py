exec(SOLUTION.replace('[measure(pruned, "pruned") for _ in range(3)]', '[measure(unpruned, "unpruned") for _ in range(3)]'))
