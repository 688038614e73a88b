exec(SOLUTION.replace('.option("maxFilesPerTrigger", 1)', ""))
