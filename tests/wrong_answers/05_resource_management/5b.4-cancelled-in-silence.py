exec(SOLUTION.replace('to be run again tomorrow: {names}.', "to be run again tomorrow."))
