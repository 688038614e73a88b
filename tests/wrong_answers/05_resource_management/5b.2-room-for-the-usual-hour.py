exec(SOLUTION.replace('"max_capacity": 135', '"max_capacity": 60'))
