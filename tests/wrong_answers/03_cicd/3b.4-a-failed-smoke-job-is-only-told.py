exec(SOLUTION.replace("    if code:\n", '    if code and "run" not in step:\n'))
