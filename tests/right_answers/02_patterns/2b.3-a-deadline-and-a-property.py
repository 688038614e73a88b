import threading
import time

from labs_lib.patterns import CircuitOpen


class CircuitBreaker:
    """Keeps only how often it failed, until when it is closed to callers, and who probes; the state follows from that."""

    def __init__(self, failures=3, cooldown=30.0, clock=time.monotonic):
        self.limit, self.pause, self.now = failures, cooldown, clock
        self.streak, self.until, self.prober = 0, None, None
        self.guard = threading.RLock()

    @property
    def state(self):
        with self.guard:
            if self.until is None:
                return "closed"
            return "half-open" if self.prober or self.now() >= self.until else "open"

    def call(self, function, *args):
        ticket = object()
        with self.guard:
            if self.until is not None:
                if self.prober or self.now() < self.until:
                    raise CircuitOpen(f"open until {self.until}")
                self.prober = ticket
        down = True
        try:
            answer = function(*args)
            down = False
            return answer
        except OSError:
            raise
        except Exception:
            down = False
            raise
        finally:
            with self.guard:
                if self.prober is ticket or self.until is None:
                    self.streak = self.streak + 1 if down else 0
                    if down and (self.prober is ticket or self.streak >= self.limit):
                        self.until = self.now() + self.pause
                    elif self.prober is ticket:
                        self.until = None
                    self.prober = None
