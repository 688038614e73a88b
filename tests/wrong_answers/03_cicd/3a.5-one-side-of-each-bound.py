exec(
    SOLUTION.replace('        pytest.param([line(7.0)], "silver", 5, 7, id="Saturday"),\n', "")
    .replace('        pytest.param(9 * [line(1.0)], "silver", 0, 9, id="nine lines"),\n', "")
    .replace('        pytest.param([line(7.99)], "silver", 0, 7, id="whole units"),\n', "")
    .replace('        pytest.param([line(7.0)], "gold", 6, 71, id="Sunday, once for gold"),\n', '        pytest.param([line(7.0)], "silver", 6, 57, id="Sunday"),\n')
)
