exec(SOLUTION.replace("cooldown, clock\n", "cooldown, time.time\n"))
