exec(SOLUTION.replace('"min_idle_instances": 12', '"min_idle_instances": 0'))
