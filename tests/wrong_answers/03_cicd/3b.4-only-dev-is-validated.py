exec(SOLUTION.replace('    ["labs", "bundle", "validate", "-t", "prod"],\n', ""))
