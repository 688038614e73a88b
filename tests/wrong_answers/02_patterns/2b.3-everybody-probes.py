exec(SOLUTION.replace('self.state == "half-open" or ', ""))
