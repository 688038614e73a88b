exec(SOLUTION.replace('run_pipeline(daily.spec)\nprint("rows in the view after the second', 'print("rows in the view after the second'))
