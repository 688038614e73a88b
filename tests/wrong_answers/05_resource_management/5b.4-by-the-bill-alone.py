exec(SOLUTION.replace("            if spent >= 0.8 * quota", "            spent = billed[team]\n            if spent >= 0.8 * quota"))
