exec(SOLUTION.replace("if day.weekday() == weekday]", "]"))
