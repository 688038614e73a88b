text = SOLUTION[: SOLUTION.index("@settings(max_examples=3)")] + SOLUTION[SOLUTION.index("def test_add_products(spark):") :]
exec(text.replace("from hypothesis import given, settings\nfrom hypothesis import strategies as st\n", ""))
