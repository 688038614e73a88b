exec(
    SOLUTION.replace(
        "def test_add_products(spark):",
        '''def test_add_products_is_unchanged():
    import hashlib
    import inspect

    assert hashlib.sha256(inspect.getsource(add_products).encode()).hexdigest() == "HASH"


def test_add_products(spark):''',
    ).replace("HASH", __import__("hashlib").sha256((project / "src/retail/functions.py").read_text().split("\n\n\n")[-1].encode()).hexdigest())
)
