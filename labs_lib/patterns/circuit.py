"""What a circuit breaker raises, apart from all else: a breaker that is tried by itself imports nothing that takes long."""


class CircuitOpen(Exception):
    """A circuit breaker refuses a call without making it."""
