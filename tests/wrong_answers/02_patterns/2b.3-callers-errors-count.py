exec(SOLUTION.replace("failed=isinstance(error, OSError)", "failed=True"))
