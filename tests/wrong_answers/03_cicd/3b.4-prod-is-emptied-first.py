exec(SOLUTION.replace('    ["labs", "bundle", "deploy", "-t", "prod"],\n', '    ["labs", "bundle", "destroy", "-t", "prod", "--auto-approve"],\n    ["labs", "bundle", "deploy", "-t", "prod"],\n'))
