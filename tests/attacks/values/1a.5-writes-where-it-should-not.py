# Tries to change the course, and the packages that the next learner runs.
import os
from pathlib import Path

import datasets
import labs_lib

for target in (
    Path(labs_lib.__file__).parent / "values" / "checks" / "exercise_1a.py",
    Path(datasets.__file__),
    *Path(os.environ["LABS_HOME"], "jars").glob("*.jar"),
    Path("/etc/passwd"),
    Path("/usr/bin/python3"),
):
    try:
        with open(target, "ab") as file:
            file.write(b"#")
        print("WROTE", target)
    except OSError as error:
        print("refused", error.errno)
largest = [{"place": 0, "number": 999}]
