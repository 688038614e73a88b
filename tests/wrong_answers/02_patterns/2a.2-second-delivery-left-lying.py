exec(SOLUTION.replace("captured.deliver(lab, 2)\n", ""))
