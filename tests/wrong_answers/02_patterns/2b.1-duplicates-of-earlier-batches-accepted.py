exec(SOLUTION.replace("WHEN seen OR copy > 1", "WHEN copy > 1"))
