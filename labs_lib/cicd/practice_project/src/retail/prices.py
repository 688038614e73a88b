"""What a line of a receipt costs."""

from __future__ import annotations

DISCOUNT_FROM = 10  # pieces
DISCOUNT = 5  # percent


def line_total(pieces: int, cents: int) -> int:
    """The price of so many pieces in cents; from a number of pieces on there is a discount, which is rounded down."""
    total = pieces * cents
    return total - (total * DISCOUNT // 100 if pieces >= DISCOUNT_FROM else 0)
