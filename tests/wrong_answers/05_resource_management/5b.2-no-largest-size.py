exec(SOLUTION.replace('"max_capacity": 135, ', ""))
