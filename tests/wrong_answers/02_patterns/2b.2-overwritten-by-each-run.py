exec(SOLUTION.replace("run=number)", 'run=number, mode="overwrite")'))
