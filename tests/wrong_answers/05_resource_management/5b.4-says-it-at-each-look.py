exec(SOLUTION.replace("        if (team, what) in self.said:\n            return []\n", ""))
