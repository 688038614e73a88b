exec(SOLUTION.replace('self.state, self._opened = "open", self.clock()', 'self.state, self._opened = "open", self._opened if probe else self.clock()'))
