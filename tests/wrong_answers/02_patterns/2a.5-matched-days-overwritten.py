# A matched day gets the night's figures in place of the sum: what was there is lost.
exec(SOLUTION.replace("lines = t.lines + s.lines, sales = t.sales + s.sales", "lines = s.lines, sales = s.sales"))
