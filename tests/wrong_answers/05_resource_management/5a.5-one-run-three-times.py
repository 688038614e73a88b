exec(SOLUTION.replace('[measure(skewed, "skewed") for _ in range(3)]', '[measure(skewed, "skewed")] * 3'))
