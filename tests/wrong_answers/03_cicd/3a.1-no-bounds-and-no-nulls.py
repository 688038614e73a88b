# Cases that come to mind first: nothing at a bound, nothing null, nothing listed twice.
exec(
    SOLUTION.replace('(3, None, "35-44"), ', "").replace('(5, "e@e.org", "55-64"), ', "").replace('            (3, None, 35, "middle"),\n', "")
    .replace('            (5, "e@e.org", 55, "senior"),\n', "")
    .replace('        ("nulls", 1, 2.0, None, None, None),\n', "").replace('        "nulls": (2.0, 2.0),\n', "")
    .replace('        ("half a cent", 2, 0.25, 0.0, 0.0, 0.0),\n', "").replace('        "half a cent": (0.25, 0.13),\n', "")
    .replace('        ("nothing", 0, 1.0, 0.0, 0.0, 0.0),\n', "").replace('        "nothing": (1.0, None),\n', "")
    .replace('        ("parts of cents", 1, 1.239, 0.0, 0.0, 0.0),\n', "").replace('        "parts of cents": (1.24, 1.24),\n', "")
    .replace('(1, 8, NOON, 1, "small"), (1, 8, NOON, 3, "large"),', '(1, 8, NOON, 3, "large"),')
    .replace('(2, 9, NOON, 1, "twice"), (2, 9, NOON, 1, "twice"),', '(2, 9, NOON, 1, "twice"),')
    .replace('(7, " Deli ", "Own"), (7, " Deli ", "Own"), ', '(7, " Deli ", "Own"), ').replace('(10, "TOYS", "Own")', "")
)
