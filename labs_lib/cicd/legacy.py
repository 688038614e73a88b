"""A function that nobody dares to touch, and the test that gives it 100 % coverage of lines: both laid by the seed.

What the function does is the same under every seed. The order of its statements differs, and so does what its test happens to try: which branches
were never taken is to be found out.
"""

from __future__ import annotations

from pathlib import Path

from datasets.variation import generator
from labs_lib.cicd.project import project_folder, write

SOURCE, TEST = "src/retail/legacy.py", "tests/legacy/test_points.py"
HEAD = '''"""Loyalty points, as they have been counted since 2009."""


def loyalty_points(lines: list[dict], member: str | None, weekday: int) -> int:
    """The points for one receipt. A line has `department`, `brand` and `paid`; `weekday` is 0 for Monday to 6 for Sunday.

    One point for each whole unit of what was paid, where fuel counts nothing and the brand "Own" counts double. A member "gold" gets
    three times that, every other member once. On top come 50 points on a Sunday, and 20 for a receipt of ten lines or more, fuel
    included. No receipt gives more than 1000 points. Who is no member (None) gets none.
    """
'''
LOOP = {
    "fuel": ('        if line["department"] == "FUEL":', "            continue"),
    "own": ('        if line["brand"] == "Own":', '            paid = 2 * line["paid"]'),
}
SETTINGS = {
    "gold": ('    if member == "gold":', "        rate = 3"),
    "sunday": ("    if weekday == 6:", "        extra += 50"),
    "many": ("    if len(lines) >= 10:", "        extra += 20"),
}
LIMITS = {
    "cap": ("    if points > 1000:", "        points = 1000"),
    "nobody": ("    if member is None:", "        points = 0"),
}
OPEN = ("own", "sunday", "many", "cap")  # whose other side the given test may have left out


def _draw(seed: int) -> tuple[list[str], list[str], list[str], set[str]]:
    chance = generator(seed, "legacy")
    orders = [[str(name) for name in chance.permutation(list(group))] for group in (LOOP, SETTINGS, LIMITS)]
    # Whoever is no member has 0 points by then, where that is asked first, and so takes the other side of the limit.
    possible = [name for name in OPEN if name != "cap" or orders[2][0] == "cap"]
    untried = {str(name) for name in chance.choice(possible, int(chance.integers(2, 4)), replace=False)}
    return orders[0], orders[1], orders[2], untried


def source_of(seed: int) -> str:
    """The function's text under a seed."""
    return "\n".join(_lines(seed)[0]) + "\n"


def untaken(seed: int) -> list[list[int]]:
    """The branches that the given test never takes, each as the lines that it leads from and to."""
    return _lines(seed)[1]


def _lines(seed: int) -> tuple[list[str], list[list[int]]]:
    loop, settings, limits, untried = _draw(seed)
    text = HEAD.rstrip("\n").split("\n")
    text += ["    rate, extra, total = 1, 0, 0.0", "    for line in lines:"]
    text.append('        paid = line["paid"]')
    found: list[list[int]] = []

    def add(group: dict[str, tuple[str, str]], order: list[str]) -> None:
        for name in order:
            text.extend(group[name])
            if name in untried:
                found.append([len(text) - 1, len(text) + 1])

    add(LOOP, loop)
    text.append("        total += paid")
    add(SETTINGS, settings)
    text.append("    points = int(total) * rate + extra")
    add(LIMITS, limits)
    text.append("    return points")
    return text, sorted(found)


def given_test(seed: int) -> str:
    """The text of the given test under a seed: it runs every line, and asserts next to nothing."""
    untried = _draw(seed)[3]
    plain = [] if "own" in untried else ['{"department": "DELI", "brand": "National", "paid": 3.5}']
    second = [
        *plain,
        '{"department": "DELI", "brand": "Own", "paid": %s}' % ("800.0" if "cap" in untried else "8.0"),
    ]
    times = 12 if "many" in untried else 1
    return f"""from retail.legacy import loyalty_points


def test_loyalty_points():
    fuel = {{"department": "FUEL", "brand": "Own", "paid": 40.0}}
    large = {{"department": "MEAT", "brand": "Own", "paid": 90.0}}
    assert loyalty_points([fuel] + 10 * [large], "gold", 6) is not None
    assert loyalty_points({times} * [{", ".join(second)}], None, {6 if "sunday" in untried else 2}) is not None
"""


def lay_legacy(seed: int) -> Path:
    """Lay the legacy function and its test into the project, in place of what is there, and return the path of the function."""
    folder = project_folder()
    write(folder / TEST, given_test(seed))
    return write(folder / SOURCE, source_of(seed))
