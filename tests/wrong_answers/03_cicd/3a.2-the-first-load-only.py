exec(SOLUTION[: SOLUTION.index("def test_the_next_day_adds_and_corrects")] + "''',\n)\nintegration_tests = project\n")
