"""Variants of the legacy function: another right one, and mutants of both, told by what they do wrong."""

from __future__ import annotations

from labs_lib.cicd.legacy import HEAD, source_of

IN_SHORT = (
    HEAD
    + """    counted = [each for each in lines if each["department"] != "FUEL"]
    total = sum(each["paid"] * (2 if each["brand"] == "Own" else 1) for each in counted)
    points = int(total) * {"gold": 3}.get(member, 1)
    points += 50 if weekday == 6 else 0
    points += 20 if len(lines) > 9 else 0
    return 0 if member is None else min(points, 1000)
"""
)

# What each does wrong, with the edit of the given text and that of the other one.
MUTANTS: tuple[tuple[str, tuple[str, str] | None, tuple[str, str] | None], ...] = (
    ("fuel counts", ("            continue", "            paid = line[\"paid\"]"), (' if each["department"] != "FUEL"', "")),
    ("the own brand counts once", ('paid = 2 * line["paid"]', 'paid = line["paid"]'), ("(2 if", "(1 if")),
    ("every brand counts double", ('line["brand"] == "Own"', 'line["brand"]'), ("else 1)", "else 2)")),
    ("gold members get no more than others", ("rate = 3", "rate = 1"), ('{"gold": 3}', '{"gold": 1}')),
    ("every member gets three times the points", ('member == "gold"', "member"), (".get(member, 1)", ".get(member, 3)")),
    ("a Sunday gives nothing", ("extra += 50", "extra += 0"), ("50 if", "0 if")),
    ("every day is a Sunday", ("weekday == 6", "weekday >= 0"), ("weekday == 6", "weekday >= 0")),
    ("Saturday counts as Sunday", ("weekday == 6", "weekday >= 5"), ("weekday == 6", "weekday >= 5")),
    ("many lines give nothing", ("extra += 20", "extra += 0"), ("20 if", "0 if")),
    ("nine lines are many", ("len(lines) >= 10", "len(lines) >= 9"), ("len(lines) > 9", "len(lines) > 8")),
    ("ten lines aren't many", ("len(lines) >= 10", "len(lines) > 10"), ("len(lines) > 9", "len(lines) > 10")),
    ("gold members get the Sunday's points three times", ("int(total) * rate + extra", "(int(total) + extra) * rate"), None),
    ("a receipt may give more than 1000 points", ("points = 1000", "points = points"), ("min(points, 1000)", "points")),
    ("every receipt gives 1000 points", ("points > 1000", "points > 0"), ("min(points, 1000)", "1000")),
    ("who is no member gets points", ("member is None", 'member == ""'), ("0 if member is None else min", "min")),
    ("parts of a unit are rounded up", ("int(total)", "int(total + 0.999)"), ("int(total)", "int(total + 0.999)")),
    ("nobody gets any points", ("member is None", 'member != ""'), ("member is None", 'member != ""')),
)  # fmt: skip


def right(seed: int) -> tuple[str, str]:
    """The given text and the other one."""
    return source_of(seed), IN_SHORT


def mutated(seed: int, which: int, place: int) -> str | None:
    """A text with a mistake in it, None if that one can't have it. Raises ValueError if the edit fits nowhere, or in several places."""
    edit = MUTANTS[place][1 + which]
    if edit is None:
        return None
    text = right(seed)[which]
    if text.count(edit[0]) != 1:
        raise ValueError(f"{MUTANTS[place][0]}: {edit[0]!r} is {text.count(edit[0])} times in text {which}")
    return text.replace(*edit)
