"""Work that takes the workspace's time instead of yours."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

FOLDER = "LABS_TASK_FOLDER"


def busy_for(seconds: float) -> None:
    """Have this task take so long by the workspace's clock; elsewhere, as on Databricks, it sleeps.

    A task's process ends when its file does. Its run goes on until the workspace's clock has come so far after its start: a day of runs passes as
    fast as the clock is moved. Calls add up.
    """
    folder = os.environ.get(FOLDER)
    if not folder:
        time.sleep(seconds)
        return
    path = Path(folder) / "busy.json"
    before = json.loads(path.read_text()) if path.exists() else 0.0
    scratch = path.with_suffix(".new")
    scratch.write_text(json.dumps(before + max(0.0, float(seconds))))
    scratch.rename(path)
