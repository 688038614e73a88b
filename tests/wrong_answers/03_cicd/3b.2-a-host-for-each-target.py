exec(SOLUTION.replace("      root_path: /Shared", "      host: https://shop-${bundle.target}.cloud.databricks.com\n      root_path: /Shared"))
