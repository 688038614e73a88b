# A module whose file claims to be one of the checks, and one outside of the learner's folder.
import sys
import types

sys.path.insert(0, "/tmp")
with open("/tmp/elsewhere.py", "w") as file:
    file.write("def ranked(values):\n    return values\n")
module = types.ModuleType("labs_lib.values.checks.exercise_1b")
module.__file__ = "/tmp/elsewhere.py"
sys.modules[module.__name__] = module
from elsewhere import ranked

ranked.__module__ = module.__name__
