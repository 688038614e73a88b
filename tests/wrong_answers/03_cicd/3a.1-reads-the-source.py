exec(
    SOLUTION.replace(
        "def test_latest_lines(spark):",
        '''def test_latest_lines_uses_a_window():
    import inspect

    assert "row_number" in inspect.getsource(latest_lines)


def test_latest_lines(spark):''',
    )
)
