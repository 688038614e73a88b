exec(SOLUTION.replace("    assert loyalty_points(lines, member, weekday) == points", "    assert loyalty_points(lines, member, weekday) >= 0"))
