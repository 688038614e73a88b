exec(SOLUTION.replace("between(10, each.idle_minutes", "between(0, each.idle_minutes"))
