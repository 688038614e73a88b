# "A day is finished when it is over": late lines for days that are there are thrown away.
exec(SOLUTION.replace("WHEN MATCHED THEN UPDATE SET lines = t.lines + s.lines, sales = t.sales + s.sales ", ""))
