# Branches found by reading coverage's own data, and assertions one by one.
import coverage

legacy = lay_legacy(lab.seed)
subprocess.run([*PYTEST, "--cov=retail", "--cov-branch", "--cov-report=", "tests/legacy/test_points.py"], cwd=project, env=QUICK, capture_output=True)
data = coverage.CoverageData(str(project / ".coverage"))
data.read()
taken = set(next(data.arcs(file) for file in data.measured_files() if file.endswith("legacy.py")))
lines = legacy.read_text().splitlines()
weak_spots = []
for number, text in enumerate(lines, 1):
    if text.strip().startswith("if "):
        for target in (number + 1, number + 2):
            if (number, target) not in taken:
                weak_spots.append((number, target))
write(
    project / "tests/legacy/test_points.py",
    '''
from retail.legacy import loyalty_points as points

DELI = {"department": "DELI", "brand": "National", "paid": 3.9}
OWN = {"department": "DELI", "brand": "Own", "paid": 3.0}
FUEL = {"department": "FUEL", "brand": "National", "paid": 50.0}


def test_brands_and_fuel():
    assert points([DELI], "any", 1) == 3
    assert points([OWN], "any", 1) == 6
    assert points([FUEL, DELI], "any", 1) == 3


def test_members():
    assert points([DELI], "gold", 1) == 9
    assert points([DELI], None, 1) == 0


def test_extra():
    assert points([DELI], "any", 5) == 3
    assert points([DELI], "gold", 6) == 59
    assert points(9 * [OWN], "any", 1) == 54
    assert points(10 * [OWN], "any", 1) == 80


def test_the_most():
    assert points(400 * [OWN], "any", 1) == 1000
''',
)
legacy_tests = project
