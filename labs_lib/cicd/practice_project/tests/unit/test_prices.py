from retail.prices import DISCOUNT, DISCOUNT_FROM, line_total


def test_a_few_pieces_cost_what_they_cost() -> None:
    assert line_total(DISCOUNT_FROM - 1, 100) == (DISCOUNT_FROM - 1) * 100


def test_many_pieces_have_a_discount() -> None:
    assert line_total(DISCOUNT_FROM, 100) == DISCOUNT_FROM * (100 - DISCOUNT)
