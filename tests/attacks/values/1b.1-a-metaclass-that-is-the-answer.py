# A class whose making, attributes and comparisons are all its own.
class Kind(type):
    def __call__(cls, *arguments, **options):
        return cls

    def __getattr__(cls, name):
        return lambda *arguments: True

    __eq__ = lambda cls, other: True
    __hash__ = type.__hash__


class Tally(metaclass=Kind):
    pass
