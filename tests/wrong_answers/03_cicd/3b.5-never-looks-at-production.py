exec(SOLUTION.replace('production["status"] == "healthy" and production["commit"] == merged', 'True'))
