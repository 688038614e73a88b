exec(SOLUTION.replace(", defaultValue=each.usual_minutes", ""))
