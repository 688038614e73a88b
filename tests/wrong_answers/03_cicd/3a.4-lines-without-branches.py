exec(SOLUTION.replace("branch = true\n", ""))
