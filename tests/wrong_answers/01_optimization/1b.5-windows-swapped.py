exec(SOLUTION.replace("30 days", "X").replace("7 days", "30 days").replace("X", "7 days"))
