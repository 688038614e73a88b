# The function counts the batch before it merges it: the night's file is read twice.
exec(SOLUTION.replace('    per_day(batch).createOrReplaceTempView("night_sums")', '    batch.count()\n    per_day(batch).createOrReplaceTempView("night_sums")'))
