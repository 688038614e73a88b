exec(SOLUTION)


class CircuitBreaker(CircuitBreaker):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self._calls = threading.Lock()

    def call(self, function, *args):
        with self._calls:
            return super().call(function, *args)
