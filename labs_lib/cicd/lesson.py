"""The lesson's example: a function of a few lines, mutants of it, and how many of them a suite kills. Plain Python, so it takes no time."""

from __future__ import annotations

from collections.abc import Callable

PRICE_TAG = """
def price_tag(price, pieces, member):
    if price is None or pieces <= 0:
        return None
    total = price * pieces
    if pieces >= 10:
        total = total * 0.9
    if member:
        total = total - 0.5
    if total < 0:
        total = 0
    return round(total, 2)
"""
# What each mutant of it does wrong, and the edit that makes it.
MUTANTS = {
    "a price of None becomes 0": ("price is None or pieces <= 0:\n        return None", "price is None or pieces <= 0:\n        return 0"),
    "one piece is none": ("pieces <= 0", "pieces <= 1"),
    "nine pieces are many": ("pieces >= 10", "pieces >= 9"),
    "ten pieces aren't many": ("pieces >= 10", "pieces > 10"),
    "many pieces cost more": ("total * 0.9", "total * 1.1"),
    "many pieces cost what they always do": ("total * 0.9", "total"),
    "members pay more": ("total - 0.5", "total + 0.5"),
    "everybody is a member": ("if member:", "if True:"),
    "a total may be negative": ("if total < 0:\n        total = 0", "if total < 0:\n        total = total"),
    "small totals are free": ("if total < 0:", "if total < 1:"),
    "cents are cut to tenths": ("round(total, 2)", "round(total, 1)"),
    "pieces are added, not multiplied": ("price * pieces", "price + pieces"),
}  # fmt: skip


def price_tag(price: float | None, pieces: int, member: bool) -> float | None:
    """The example's function."""
    return _made(PRICE_TAG)(price, pieces, member)


def killed(suite: Callable[[Callable[..., float | None]], None]) -> dict[str, bool]:
    """Which mutants a suite kills: a function that takes `price_tag` and asserts something of it. It has to pass on the right one."""
    suite(_made(PRICE_TAG))
    found = {}
    for what, (old, new) in MUTANTS.items():
        try:
            suite(_made(PRICE_TAG.replace(old, new)))
            found[what] = False
        except AssertionError:
            found[what] = True
    return found


def _made(source: str) -> Callable[..., float | None]:
    names: dict[str, Callable[..., float | None]] = {}
    exec(source, names)
    return names["price_tag"]
