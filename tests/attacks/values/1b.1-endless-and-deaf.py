# Never answers, whatever signal comes.
import signal


class Tally:
    best = 0

    def add(self, number):
        for each in range(1, 65):
            try:
                signal.signal(each, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        while True:
            pass
