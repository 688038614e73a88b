exec(SOLUTION.replace("actions = [{\"do\": \"resume\", \"job\": job} for job in sorted(self.paused)]", "actions = []"))
