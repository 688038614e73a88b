exec(SOLUTION.replace(".options(**once)", "").replace("for name, value in once.items()}", "for name, value in {}.items()}"))
