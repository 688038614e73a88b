"""Figures of a measured run by task and by operator: what the Stages and the SQL tab of the Spark UI show when one looks closer."""

from __future__ import annotations

from typing import Any

import pandas as pd

from labs_lib.errors import LabsError
from labs_lib.measuring.spark_ui import Node, Run, fetch

ROWS, FILES, SHUFFLED, SPILL = (
    "number of output rows",
    "number of files read",
    "shuffle records written",
    "spill size",
)


def task_bytes(run: Run) -> list[int]:
    """Bytes that each task of a run read from shuffles, in the stage that read most; largest first.

    Raises LabsError if no stage of the run read a shuffle, or if the Spark UI does not know its tasks any more.
    """
    stage = max(run.stages, key=lambda each: each.shuffle_read, default=None)
    if stage is None or not stage.shuffle_read:
        raise LabsError("No stage of this run read a shuffle.")
    attempts = [each for each in fetch(f"stages/{stage.id}") or [] if each["status"] == "COMPLETE"]
    if not attempts:
        raise LabsError("The Spark UI knows no tasks of this run any more; measure it again.")
    tasks = fetch(f"stages/{stage.id}/{attempts[-1]['attemptId']}/taskList?length=100000") or []
    return sorted((_read(task) for task in tasks if task["status"] == "SUCCESS"), reverse=True)


def _read(task: dict[str, Any]) -> int:
    read = task.get("taskMetrics", {}).get("shuffleReadMetrics", {})
    return int(read.get("localBytesRead", 0)) + int(read.get("remoteBytesRead", 0))


def largest_share(run: Run) -> float:
    """The largest task's share, 0 to 1, of the bytes that its stage read from shuffles; of the stage that read most."""
    tasks = task_bytes(run)
    return tasks[0] / sum(tasks)


def spilled(run: Run) -> int:
    """Bytes that all stages of a run wrote to disk because memory ran out."""
    return sum(stage.spill for stage in run.stages)


def own_nodes(run: Run) -> list[Node]:
    """The operators of a run without those by which Delta reads its own log, from the scans up."""
    found: list[Node] = []
    part: list[Node] = []
    for node in run.nodes:
        if part and node.id >= part[-1].id:  # the operators of another execution begin
            found += _without_log(part)
            part = []
        part.append(node)
    return found + _without_log(part)


def _without_log(part: list[Node]) -> list[Node]:
    return [] if any("Delta Table State" in node.name or node.name == "Scan json" for node in part) else part


def operators(run: Run) -> pd.DataFrame:
    """A run's operators that say something, from the scans up: rows out, files read, rows shuffled, and whether they spilled."""
    rows = [
        {
            "operator": node.name.split("spark_catalog.")[0].strip(),
            "of": node.name.rsplit(".", 1)[-1] if node.name.startswith("Scan") else "",
            "rows out": node.metrics.get(ROWS),
            "files read": node.metrics.get(FILES),
            "rows shuffled": node.metrics.get(SHUFFLED),
            "spilled": "yes" if node.metrics.get(SPILL) else "",
        }
        for node in own_nodes(run)
        if {ROWS, FILES, SHUFFLED} & node.metrics.keys() or node.metrics.get(SPILL)
    ]
    table = pd.DataFrame(rows).astype({name: "Int64" for name in ("rows out", "files read", "rows shuffled")})
    return table.astype(object).where(table.notna(), "")
