exec(SOLUTION.replace('["missing_branches"]\n', '["missing_branches"]\nweak_spots = [first for first, _ in weak_spots]\n'))
