exec("\n".join(line for line in SOLUTION.splitlines() if '"/Teams")' not in line))
