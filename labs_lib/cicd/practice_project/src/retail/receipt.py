"""A receipt from its lines."""

from __future__ import annotations

from retail.prices import line_total


def receipt(lines: list[tuple[str, int, int]]) -> dict[str, int]:
    """What each product costs, and all of them together."""
    totals: dict[str, int] = {}
    for product, pieces, cents in lines:
        totals[product] = totals.get(product, 0) + line_total(pieces, cents)
    return {**totals, "total": sum(totals.values())}
