# pytest.ini and .coveragerc instead of pyproject.toml, coverage led by itself, and reports added up at the end.
elsewhere = lay_project(project.parent / "with_pytest_ini")
write(elsewhere / "pytest.ini", "[pytest]\npythonpath = src\naddopts = -ra --strict-markers\n")
write(elsewhere / ".coveragerc", "[run]\nbranch = True\nsource =\n    src\nparallel = True\n")
write(
    elsewhere / "run_tests.py",
    '''
import os
import subprocess
import sys


def run(*words):
    print("$", *words, flush=True)
    return subprocess.run([sys.executable, "-m", *words]).returncode


code = 0
for kind in ("unit", "integration"):
    code = run("coverage", "run", "-m", "pytest", f"tests/{kind}", f"--junit-xml=reports/{kind}.xml")
    if code:
        break
run("coverage", "combine", "-q")
os.makedirs("reports", exist_ok=True)
run("coverage", "xml", "-q", "-o", "reports/coverage.xml")
raise SystemExit(code)
''',
)
automation = elsewhere
