exec(SOLUTION.replace('      num_workers      = 1\n', '      num_workers      = 1\n      spark_env_vars   = { PASSWORD = var.warehouse_password }\n'))
