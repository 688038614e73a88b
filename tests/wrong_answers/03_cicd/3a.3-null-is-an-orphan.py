exec(SOLUTION.replace('lines.dropna(subset=["household_id"]).join(', "lines.join("))
