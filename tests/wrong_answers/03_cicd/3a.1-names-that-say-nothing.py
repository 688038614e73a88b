exec(SOLUTION.replace("def test_latest_lines(", "def test_two("))
