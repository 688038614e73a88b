exec(SOLUTION.replace("for name, value in once.items()}", "for name, value in {}.items()}"))
