exec(SOLUTION)


class CircuitBreaker(CircuitBreaker):
    def call(self, function, *args):
        try:
            return super().call(function, *args)
        except OSError:
            return None
