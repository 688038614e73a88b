exec(SOLUTION.replace("pa.Check.in_range(0, 1000)", "pa.Check.in_range(0, 1000, include_min=False, include_max=False)").replace("paid < 0 OR paid > 1000", "paid <= 0 OR paid >= 1000"))
