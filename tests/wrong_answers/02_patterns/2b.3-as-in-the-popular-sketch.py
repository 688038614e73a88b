import time

from labs_lib.patterns import CircuitOpen


class CircuitBreaker:
    def __init__(self, failures=3, cooldown=30.0, clock=time.time):
        self.failure_count, self.last_failure = 0, 0
        self.failures, self.cooldown, self.clock = failures, cooldown, clock
        self.state = "closed"

    def call(self, function, *args):
        if self.state == "open" and self.clock() - self.last_failure > self.cooldown:
            self.state = "half-open"
        if self.state == "open":
            raise CircuitOpen
        try:
            result = function(*args)
        except Exception:
            self.failure_count += 1
            self.last_failure = self.clock()
            if self.failure_count >= self.failures:
                self.state = "open"
            raise
        if self.state == "half-open":
            self.state, self.failure_count = "closed", 0
        return result
