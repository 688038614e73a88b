exec(SOLUTION.replace('  lifecycle {\n    prevent_destroy = true\n  }\n', ''))
