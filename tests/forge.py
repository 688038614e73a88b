"""What attacks on tables begin with: tables written by delta-rs, whose commits then say of themselves what they like.

The test puts this text before each attack of tests/attacks/patterns, in the learner's cell.
"""

import json
import shutil

import pandas as pd  # noqa: F401 - the attacks'
import pyarrow as pa  # noqa: F401
from deltalake import DeltaTable, write_deltalake  # noqa: F401


def fresh(name):
    path = lab.tables / name  # noqa: F821 - the notebook's
    shutil.rmtree(path, ignore_errors=True)
    return path


def log_file(path, version):
    return path / "_delta_log" / f"{version:020}.json"


def actions_of(path, version):
    return [json.loads(line) for line in log_file(path, version).read_text().splitlines()]


def put(path, version, actions):
    log_file(path, version).write_text("".join(json.dumps(action) + "\n" for action in actions))


def say(path, version, operation, parameters=None, **metrics):
    """Have a commit say that it was another operation, with other metrics."""
    actions = actions_of(path, version)
    info = next(action["commitInfo"] for action in actions if "commitInfo" in action)
    info.update(
        operation=operation,
        operationParameters=parameters or {},
        operationMetrics={k: str(v) for k, v in metrics.items()},
    )
    put(path, version, actions)


def claim(path, operation, parameters=None, **metrics):
    """Add a commit that holds nothing but words."""
    version = len(list((path / "_delta_log").glob("*.json")))
    info = {
        "timestamp": 4_000_000_000_000 + version,
        "operation": operation,
        "operationParameters": parameters or {},
    }
    put(path, version, [{"commitInfo": info | {"operationMetrics": {k: str(v) for k, v in metrics.items()}}}])
