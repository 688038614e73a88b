"""How many rows of data a measured run read, without what Delta reads of its own log."""

from __future__ import annotations

from typing import Any

from labs_lib.arguments import checked
from labs_lib.errors import LabsError
from labs_lib.measuring.spark_ui import Run, fetch, size

OUTPUT_ROWS = "number of output rows"


@checked
def rows_read(run: Run) -> int:
    """Rows that the scans of files in a run of `measure` put out, before any operator above them.

    Scans of Delta's log and of its cached state are left out. Raises LabsError if the Spark UI does not know the run any more.
    """
    if not run.tag:
        raise LabsError("This run was not measured; call measure, and pass rows_read what it returns.")
    jobs = {job["jobId"] for job in fetch("jobs") if any(tag.endswith(run.tag) for tag in job["jobTags"])}
    if not jobs:
        raise LabsError(
            "The Spark UI knows no job of this run any more; measure it again. (The rows that a stream read are in its progress.)"
        )
    executions = fetch("sql?details=false&planDescription=false&length=100000")
    return sum(
        _scanned(fetch(f"sql/{each['id']}?details=true&planDescription=true"))
        for each in executions
        if jobs & set(each["successJobIds"])
    )


def _scanned(execution: dict[str, Any]) -> int:
    if "DeltaLogFileIndex" in execution["planDescription"]:  # the query by which Delta reads its own log
        return 0
    return sum(
        size(metric["value"])
        for node in execution["nodes"]
        if node["nodeName"].startswith("Scan ") and "Delta Table State" not in node["nodeName"]
        for metric in node["metrics"]
        if metric["name"] == OUTPUT_ROWS
    )
