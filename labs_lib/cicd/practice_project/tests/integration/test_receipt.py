from retail.receipt import receipt


def test_a_receipt_adds_up() -> None:
    assert receipt([("milk", 1, 120), ("bread", 2, 300), ("milk", 1, 120)]) == {
        "milk": 240,
        "bread": 600,
        "total": 840,
    }
