"""Jobs and runs on the workspace's page."""

from __future__ import annotations

from collections.abc import Iterator

from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.overview import Table, moment

JOBS = """
SELECT id, json_extract(settings, '$.name') AS name, run_as, next_fire FROM jobs ORDER BY id
"""
RUNS = """
SELECT id, job_id, json_extract(settings, '$.name') AS name, life, result, "trigger", run_as, asked, began, ended, message FROM runs ORDER BY id DESC
"""


def overview(ctx: Context) -> Iterator[Table]:
    """Jobs, and their runs, the latest first."""
    yield Table(
        "Jobs",
        ("Job", "Name", "Runs as", "Next run"),
        [(row["id"], row["name"], row["run_as"], moment(row["next_fire"])) for row in ctx.db.execute(JOBS)],
    )
    yield Table(
        "Runs",
        ("Run", "Job", "State", "Trigger", "Runs as", "Asked for", "Began", "Ended", "Message"),
        [
            (
                row["id"],
                row["name"],
                row["result"] or row["life"],
                row["trigger"],
                row["run_as"],
                *(moment(row[part]) for part in ("asked", "began", "ended")),
                row["message"],
            )
            for row in ctx.db.execute(RUNS)
        ],
    )
