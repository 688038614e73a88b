exec(SOLUTION.replace('if team == "shared":', "if False:"))
