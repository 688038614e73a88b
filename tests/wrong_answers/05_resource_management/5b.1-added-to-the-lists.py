exec(SOLUTION.replace("w.permissions.set(", "w.permissions.update("))
