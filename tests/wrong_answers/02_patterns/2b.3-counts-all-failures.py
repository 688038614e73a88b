exec(SOLUTION.replace("self._failed = self._failed + 1 if failed else 0", "self._failed += failed"))
