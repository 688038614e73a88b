exec(SOLUTION.replace('@expect("usual_quantity"', '@expect_or_drop("usual_quantity"'))
