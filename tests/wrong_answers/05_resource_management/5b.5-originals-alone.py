exec(SOLUTION.replace('    for row in month["usage"]:\n', '    for row in month["usage"]:\n        if row["record_type"] != "ORIGINAL":\n            continue\n', 1))
