exec(SOLUTION.replace('@expect_or_fail("identified"', '@expect_or_drop("identified"'))
