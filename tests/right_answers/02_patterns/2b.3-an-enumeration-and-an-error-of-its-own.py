from enum import Enum

from labs_lib.patterns import CircuitOpen


class State(str, Enum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class StillOpen(CircuitOpen):
    """Says for how long."""


breaker_of_the_solution = SOLUTION.replace("class CircuitBreaker", "class PlainBreaker")
exec(breaker_of_the_solution)


class CircuitBreaker(PlainBreaker):
    @property
    def state(self):
        return State(self._word)

    @state.setter
    def state(self, word):
        self._word = word

    def call(self, function, *args):
        try:
            return super().call(function, *args)
        except CircuitOpen as refused:
            raise StillOpen("not before the cooldown has passed") from refused
