"""A cluster's life by the workspace's clock: PENDING, RUNNING, RESIZING, RESTARTING, TERMINATING, TERMINATED, with events, machines and spells for the bill.

Source: the states and events of the Clusters API 2.1. What others need: `create`, `terminate`, `attach` and `detach` for jobs, `spells` for the bill.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from labs_lib.workspace import permissions
from labs_lib.workspace.compute.billing import MINUTE, Spell
from labs_lib.workspace.compute.clusters.admission import admit, require_place
from labs_lib.workspace.compute.pools import routes as pools
from labs_lib.workspace.compute.pools.capacity import LIVE
from labs_lib.workspace.compute.specification import machines, workers
from labs_lib.workspace.ground import store
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.errors import InvalidParameter, InvalidState

SCHEMA = """
CREATE TABLE IF NOT EXISTS clusters (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, source TEXT NOT NULL, state TEXT NOT NULL, due INTEGER, spec TEXT NOT NULL, life TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS clusters_due ON clusters (due);
CREATE TABLE IF NOT EXISTS cluster_events (cluster_id TEXT NOT NULL, at INTEGER NOT NULL, type TEXT NOT NULL, details TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS cluster_events_of ON cluster_events (cluster_id, at);
CREATE TABLE IF NOT EXISTS cluster_spells (cluster_id TEXT NOT NULL, since INTEGER NOT NULL, until INTEGER, spell TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS cluster_spells_of ON cluster_spells (cluster_id, until);
CREATE TABLE IF NOT EXISTS cluster_busy (cluster_id TEXT NOT NULL, since INTEGER NOT NULL, until INTEGER);
CREATE INDEX IF NOT EXISTS cluster_busy_of ON cluster_busy (cluster_id, until);
"""
OBJECT = "clusters"
STOPPING = 500  # ms from TERMINATING to TERMINATED
Reason = tuple[str, str]  # code and type of a termination
USER, INACTIVE, FINISHED = ("USER_REQUEST", "SUCCESS"), ("INACTIVITY", "SUCCESS"), ("JOB_FINISHED", "SUCCESS")


@dataclass
class Cluster:
    """A row of the store. `life` is what happened to it, in ms since 1970 UTC."""

    id: str
    owner: str
    source: str
    state: str
    due: int | None
    spec: dict[str, Any]
    created: int
    workers: int = 0
    taken: dict[str, int] = field(default_factory=dict)  # machines by pool
    started: int = 0
    ended: int = 0
    active: int = 0  # when something was last done on it
    attached: int = 0  # runs that are using it
    reason: dict[str, Any] = field(default_factory=dict)
    job_id: str | None = None
    run_id: str | None = None


_COLUMNS = ("id", "owner", "source", "state", "due", "spec")


def get(ctx: Context, cluster_id: str) -> Cluster:
    """A cluster. Raises InvalidParameter, as Databricks does, which the SDK turns into ResourceDoesNotExist."""
    row = ctx.db.execute("SELECT * FROM clusters WHERE id = ?", (cluster_id,)).fetchone()
    if row is None:
        raise InvalidParameter(f"Cluster {cluster_id} does not exist")
    return _cluster(row)


def every(ctx: Context) -> list[Cluster]:
    """All clusters, in the order in which they were created."""
    return [_cluster(row) for row in ctx.db.execute("SELECT * FROM clusters ORDER BY rowid")]


def keep(ctx: Context, cluster: Cluster) -> None:
    """Store a cluster."""
    life = {name: value for name, value in vars(cluster).items() if name not in _COLUMNS}
    ctx.db.execute(
        "INSERT INTO clusters VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id)"
        " DO UPDATE SET owner = excluded.owner, state = excluded.state, due = excluded.due, spec = excluded.spec, life = excluded.life",
        (*(getattr(cluster, name) for name in _COLUMNS[:-1]), json.dumps(cluster.spec), json.dumps(life)),
    )


def create(
    ctx: Context,
    spec: dict[str, Any],
    *,
    source: str = "API",
    job_id: str | None = None,
    run_id: str | None = None,
) -> Cluster:
    """Begin a cluster for the caller, who owns it. For a job, `source` is "JOB", which policies see as the cluster type `job`.

    Raises what `admit` raises, and QuotaExceeded, ResourceExhausted; then there is nothing of it.
    """
    admitted = admit(ctx, spec, "job" if source == "JOB" else "all-purpose")
    day = datetime.fromtimestamp(ctx.now / 1000, UTC)
    cluster_id = f"{day:%m%d-%H%M%S}-{store.next_id(ctx.db, 'cluster'):08d}"
    owner = ctx.caller.user_name
    cluster = Cluster(
        cluster_id, owner, source, "PENDING", None, admitted, ctx.now, job_id=job_id, run_id=run_id
    )
    cluster.spec.setdefault("cluster_name", f"job-{job_id}-run-{run_id}" if source == "JOB" else "")
    require_place(ctx, admitted.get("policy_id"), cluster.owner)
    _launch(ctx, cluster)
    keep(ctx, cluster)
    tell(ctx, cluster, "CREATING", {"cluster_size": size(cluster), "user": cluster.owner})
    permissions.grant_owner(ctx, OBJECT, cluster_id)
    return cluster


def start(ctx: Context, cluster: Cluster) -> None:
    """Start a terminated cluster; one in any other state is left as it is. Raises QuotaExceeded, ResourceExhausted."""
    if cluster.state == "TERMINATED":
        require_place(ctx, cluster.spec.get("policy_id"), cluster.owner)
        _launch(ctx, cluster)
        keep(ctx, cluster)
        tell(ctx, cluster, "STARTING", {"cluster_size": size(cluster), "user": ctx.caller.user_name})


def restart(ctx: Context, cluster: Cluster) -> None:
    """Restart a running cluster with the machines that it is told to have now; one in any other state is left as it is."""
    if cluster.state == "RUNNING":
        _release(ctx, cluster)
        _launch(ctx, cluster)
        cluster.state = "RESTARTING"
        keep(ctx, cluster)
        tell(ctx, cluster, "RESTARTING", {"user": ctx.caller.user_name})


def terminate(ctx: Context, cluster: Cluster, reason: Reason = USER) -> None:
    """Stop a cluster; nothing happens to one that has stopped or is stopping."""
    if cluster.state in ("TERMINATING", "TERMINATED"):
        return
    _release(ctx, cluster)
    code, kind = reason
    by = {"username": ctx.caller.user_name} if reason == USER else {}
    cluster.reason = {"code": code, "type": kind, "parameters": by}
    cluster.state, cluster.due, cluster.ended = "TERMINATING", ctx.now + STOPPING, ctx.now
    cluster.attached = 0
    _close(ctx, "cluster_busy", cluster)
    keep(ctx, cluster)
    tell(ctx, cluster, "TERMINATING", {"reason": cluster.reason})


def resize(ctx: Context, cluster: Cluster, spec: dict[str, Any]) -> None:
    """Give a running cluster another number of workers; what its pool can't give is refused, and nothing changes.

    Raises InvalidState unless it is running, and what `admit` raises.
    """
    if cluster.state != "RUNNING":
        raise InvalidState(
            f"Cluster {cluster.id} is in state {cluster.state}; only a running one can be resized."
        )
    cluster.spec = admit(ctx, spec, "job" if cluster.source == "JOB" else "all-purpose", cluster.spec)
    low, high = workers(cluster.spec)
    target = min(max(cluster.workers, low), high)
    pool, more = cluster.spec.get("instance_pool_id"), target - cluster.workers
    ready = ctx.now + LIVE.launch if more > 0 else ctx.now
    if pool and more > 0:
        ready = pools.take(ctx, pool, more)
    elif pool and more < 0:
        pools.give_back(ctx, pool, -more)
    if pool:
        cluster.taken[pool] = cluster.taken.get(pool, 0) + more
    sizes = {"current_num_workers": cluster.workers, "target_num_workers": target}
    tell(ctx, cluster, "RESIZING", {**sizes, "user": ctx.caller.user_name})
    cluster.workers, cluster.state, cluster.due = target, "RESIZING", ready + LIVE.boot
    keep(ctx, cluster)


def attach(ctx: Context, cluster_id: str) -> None:
    """Say that a run uses a cluster from now on: it doesn't end for inactivity. Raises InvalidState unless it runs."""
    cluster = get(ctx, cluster_id)
    if cluster.state not in ("RUNNING", "RESIZING"):
        raise InvalidState(
            f"Cluster {cluster.id} is in state {cluster.state}; it has to run before something can run on it."
        )
    cluster.attached, cluster.active = cluster.attached + 1, ctx.now
    if cluster.attached == 1:
        ctx.db.execute("INSERT INTO cluster_busy VALUES (?, ?, NULL)", (cluster_id, ctx.now))
    _await(cluster)
    keep(ctx, cluster)


def detach(ctx: Context, cluster_id: str) -> None:
    """Say that a run doesn't use a cluster any more; its idle time begins when nobody does."""
    cluster = get(ctx, cluster_id)
    if cluster.attached:
        cluster.attached, cluster.active = cluster.attached - 1, ctx.now
        if not cluster.attached:
            _close(ctx, "cluster_busy", cluster)
        _await(cluster)
        keep(ctx, cluster)


def forget(ctx: Context, cluster: Cluster) -> None:
    """Delete a cluster for good; what it used stays on the bill."""
    terminate(ctx, cluster)
    ctx.db.execute("DELETE FROM clusters WHERE id = ?", (cluster.id,))
    ctx.db.execute("DELETE FROM cluster_events WHERE cluster_id = ?", (cluster.id,))
    permissions.forget(ctx, OBJECT, cluster.id)


def tick(ctx: Context) -> None:
    """Let each cluster go on that is due by now."""
    for row in ctx.db.execute("SELECT * FROM clusters WHERE due <= ? ORDER BY due", (ctx.now,)).fetchall():
        cluster = _cluster(row)
        if cluster.state in ("PENDING", "RESTARTING", "RESIZING"):
            _runs(ctx, cluster)
        elif cluster.state == "TERMINATING":
            cluster.state, cluster.due = "TERMINATED", None
            keep(ctx, cluster)
        elif cluster.state == "RUNNING":
            terminate(ctx, cluster, INACTIVE)


def spells(ctx: Context, since: int, until: int) -> list[Spell]:
    """What clusters used between two moments (ms), for the bill."""
    rows = ctx.db.execute(
        "SELECT * FROM cluster_spells WHERE since < ? AND (until IS NULL OR until > ?) ORDER BY since, cluster_id",
        (until, since),
    )
    found = []
    for row in rows.fetchall():
        busy = ctx.db.execute(
            "SELECT since, until FROM cluster_busy WHERE cluster_id = ? AND since < ? AND (until IS NULL OR until > ?)",
            (row["cluster_id"], until, since),
        )
        times = tuple((start, until if end is None else end) for start, end in busy)
        found.append(
            Spell(row["cluster_id"], row["since"], row["until"], busy=times, **json.loads(row["spell"]))
        )
    return found


def tell(ctx: Context, cluster: Cluster, type: str, details: dict[str, Any]) -> None:
    """Write an event."""
    ctx.db.execute(
        "INSERT INTO cluster_events VALUES (?, ?, ?, ?)", (cluster.id, ctx.now, type, json.dumps(details))
    )


def size(cluster: Cluster) -> dict[str, Any]:
    """A cluster's size in the API's words."""
    scale = cluster.spec.get("autoscale")
    return {"autoscale": scale} if scale else {"num_workers": workers(cluster.spec)[1]}


def _cluster(row: Any) -> Cluster:
    told = {name: row[name] for name in _COLUMNS if name != "spec"}
    return Cluster(**told, spec=json.loads(row["spec"]), **json.loads(row["life"]))


def _launch(ctx: Context, cluster: Cluster) -> None:
    """Get the machines: of the pools, or new ones; a scaling cluster begins with its fewest."""
    cluster.workers = workers(cluster.spec)[0]
    pool = cluster.spec.get("instance_pool_id")
    wanted: Counter[str] = Counter()
    if pool:
        wanted[cluster.spec.get("driver_instance_pool_id") or pool] += 1
        wanted[pool] += cluster.workers
    ready, fetch = ctx.now if pool else ctx.now + LIVE.launch, not pool
    for id, count in wanted.items():
        if count:
            ready = max(ready, pools.take(ctx, id, count))
            fetch = fetch or cluster.spec["spark_version"] not in pools.told_of(ctx, id).get(
                "preloaded_spark_versions", []
            )
    cluster.taken = dict(wanted)
    cluster.state, cluster.due = "PENDING", ready + LIVE.boot + (LIVE.image if fetch else 0)
    cluster.started, cluster.ended, cluster.reason = ctx.now, 0, {}


def _release(ctx: Context, cluster: Cluster) -> None:
    """Give the machines back and close the bill."""
    for pool, count in cluster.taken.items():
        pools.give_back(ctx, pool, count)
    cluster.taken = {}
    _close(ctx, "cluster_spells", cluster)


def _close(ctx: Context, table: str, cluster: Cluster) -> None:
    """End the time that a cluster's last row there speaks of."""
    query = f"UPDATE {table} SET until = ? WHERE cluster_id = ? AND until IS NULL"
    ctx.db.execute(query, (ctx.now, cluster.id))


def _runs(ctx: Context, cluster: Cluster) -> None:
    resized = cluster.state == "RESIZING"
    cluster.state, cluster.active = "RUNNING", ctx.now
    _await(cluster)
    keep(ctx, cluster)
    _close(ctx, "cluster_spells", cluster)
    driver, worker = machines(cluster.spec, pools.node_types(ctx))
    pool = cluster.spec.get("instance_pool_id")
    tags = pools.told_of(ctx, pool).get("custom_tags", {}) if pool and pool in pools.node_types(ctx) else {}
    spell = {
        **{name: getattr(cluster, name) for name in ("workers", "owner", "source", "job_id", "run_id")},
        **{"driver": driver, "worker": worker, "engine": cluster.spec.get("runtime_engine"), "pool": pool},
        "tags": {**tags, **cluster.spec.get("custom_tags", {})},
    }
    ctx.db.execute(
        "INSERT INTO cluster_spells VALUES (?, ?, NULL, ?)", (cluster.id, ctx.now, json.dumps(spell))
    )
    tell(ctx, cluster, "UPSIZE_COMPLETED" if resized else "RUNNING", {"current_num_workers": cluster.workers})


def _await(cluster: Cluster) -> None:
    """When a running cluster ends for inactivity, if it does."""
    if cluster.state == "RUNNING":
        minutes = cluster.spec.get("autotermination_minutes")
        cluster.due = cluster.active + minutes * MINUTE if minutes and not cluster.attached else None
