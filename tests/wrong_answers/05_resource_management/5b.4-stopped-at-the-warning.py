exec(SOLUTION.replace("if spent >= quota:", "if spent >= 0.8 * quota:"))
