exec(SOLUTION.replace('                hub.close(number)\n', ''))
