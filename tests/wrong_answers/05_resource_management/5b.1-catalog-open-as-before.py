exec(SOLUTION.replace("remove=each.privileges", "add=each.privileges"))
