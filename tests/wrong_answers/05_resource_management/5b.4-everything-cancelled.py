exec(SOLUTION.replace('if not run["urgent"]', "if True"))
