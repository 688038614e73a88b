# Tries to change the course, the data that others are judged with, and the packages that the next learner runs.
import os
from pathlib import Path

import datasets
import labs_lib

for target in (
    Path(labs_lib.__file__).parent / "optimization" / "checks" / "exercise_1a.py",
    Path(datasets.__file__),
    *Path(os.environ["LABS_HOME"], "data").glob("*/_delta_log/*.json"),
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
tuning_card = []
