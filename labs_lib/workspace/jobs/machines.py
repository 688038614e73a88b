"""The clusters that tasks run on: a job's own are created for the run and end with it, another is started if need be and used.

A task without one runs at once, as on serverless compute. The cluster is the policies', pools' and bill's concern alone: the process runs on this
machine either way.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from labs_lib.workspace import compute, identity, permissions
from labs_lib.workspace.compute.clusters import lifecycle
from labs_lib.workspace.ground import store
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.errors import InvalidParameter, InvalidState
from labs_lib.workspace.jobs.model import Settings


def provide(ctx: Context, run: sqlite3.Row, attempt: sqlite3.Row, settings: Settings) -> int | None:
    """Since when an attempt's cluster is there for it; None while it starts. What is missing is created or started, as the run's principal.

    Raises WorkspaceError if it can't be had.
    """
    task = settings.task(attempt["task_key"])
    if not (task.new_cluster or task.job_cluster_key or task.existing_cluster_id):
        return int(attempt["asked"])
    cluster_id = attempt["cluster_id"]
    if cluster_id is None:
        cluster_id = _take(replace(ctx, caller=identity.as_user(ctx, run["run_as"])), run, attempt, settings)
        store.update(ctx.db, "attempts", attempt["id"], cluster_id=cluster_id)
    cluster = compute.get(ctx, cluster_id)
    if cluster.state == "RUNNING":
        compute.attach(ctx, cluster_id)
        return ctx.now
    if cluster.state in ("TERMINATING", "TERMINATED", "ERROR"):
        raise InvalidState(
            f"The cluster {cluster_id} of the task {task.task_key!r} is {cluster.state}: {cluster.reason.get('code', '')}."
        )
    return None


def _take(ctx: Context, run: sqlite3.Row, attempt: sqlite3.Row, settings: Settings) -> str:
    task = settings.task(attempt["task_key"])
    of_run = {"source": "JOB", "job_id": str(run["job_id"]), "run_id": str(run["id"])}
    if task.new_cluster:
        return compute.create(ctx, task.new_cluster, **of_run).id
    if task.existing_cluster_id:
        cluster = compute.get(ctx, task.existing_cluster_id)
        permissions.require(
            ctx, "clusters", cluster.id, "CAN_RESTART" if cluster.state == "TERMINATED" else "CAN_ATTACH_TO"
        )
        lifecycle.start(ctx, cluster)
        return cluster.id
    query = "SELECT cluster_id FROM run_clusters WHERE run_id = ? AND key = ?"
    shared = ctx.db.execute(query, (run["id"], task.job_cluster_key)).fetchone()
    if shared:
        return str(shared["cluster_id"])
    spec = next(
        each.new_cluster for each in settings.job_clusters if each.job_cluster_key == task.job_cluster_key
    )
    cluster_id = compute.create(ctx, spec, **of_run).id
    ctx.db.execute("INSERT INTO run_clusters VALUES (?, ?, ?)", (run["id"], task.job_cluster_key, cluster_id))
    return cluster_id


def release(ctx: Context, attempt: sqlite3.Row) -> None:
    """Use an attempt's cluster no longer; one that was created for it alone ends."""
    if attempt["cluster_id"] is None:
        return
    try:
        cluster = compute.get(ctx, attempt["cluster_id"])
    except InvalidParameter:  # it was deleted for good meanwhile
        return
    if attempt["ready"] is not None:
        compute.detach(ctx, cluster.id)
    shared = ctx.db.execute("SELECT 1 FROM run_clusters WHERE cluster_id = ?", (cluster.id,)).fetchone()
    if cluster.source == "JOB" and shared is None:
        compute.terminate(ctx, compute.get(ctx, cluster.id), compute.FINISHED)


def release_run(ctx: Context, run_id: int) -> None:
    """End the clusters that a run's tasks shared."""
    query = "SELECT cluster_id FROM run_clusters JOIN clusters ON clusters.id = cluster_id WHERE run_id = ?"
    for row in ctx.db.execute(query, (run_id,)).fetchall():
        compute.terminate(ctx, compute.get(ctx, row["cluster_id"]), compute.FINISHED)
    ctx.db.execute("DELETE FROM run_clusters WHERE run_id = ?", (run_id,))
