exec(SOLUTION.replace('"tag", "-a", ticket["version"], "-m", ticket["title"], merged', '"tag", ticket["version"], merged'))
