smoke, prod = '    ["labs", "bundle", "run", "smoke", "-t", "dev"],\n', '    ["labs", "bundle", "deploy", "-t", "prod"],\n'
exec(SOLUTION.replace(smoke, "").replace(prod, prod + smoke.replace("dev", "prod")))
