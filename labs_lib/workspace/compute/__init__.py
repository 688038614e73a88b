"""Compute: policies, pools, clusters and what they used. Rules, which are pure, apart from routes.

For other services: `create`, `terminate`, `attach`, `detach` and `get` of clusters, `admit` for a job's cluster that is only declared, and
`usage` and `nodes` for the system tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labs_lib.workspace.compute import billing
from labs_lib.workspace.compute.clusters import lifecycle
from labs_lib.workspace.compute.clusters import routes as cluster_routes
from labs_lib.workspace.compute.clusters.admission import admit
from labs_lib.workspace.compute.clusters.lifecycle import FINISHED, attach, create, detach, get, terminate
from labs_lib.workspace.compute.policies import routes as policy_routes
from labs_lib.workspace.compute.pools import routes as pool_routes
from labs_lib.workspace.compute.state import export, load
from labs_lib.workspace.ground.context import Context

__all__ = [
    "ENDPOINTS",
    "FINISHED",
    "SCHEMA",
    "admit",
    "attach",
    "create",
    "detach",
    "due",
    "export",
    "get",
    "load",
    "nodes",
    "terminate",
    "tick",
    "usage",
]

SCHEMA = pool_routes.SCHEMA + lifecycle.SCHEMA
ENDPOINTS = (
    *policy_routes.ENDPOINTS,
    *pool_routes.ENDPOINTS,
    *cluster_routes.ENDPOINTS,
)


def due(ctx: Context) -> int | None:
    """When something next happens to a machine or a cluster by itself."""
    row = ctx.db.execute(
        "SELECT min(due) AS due FROM (SELECT min(due) AS due FROM clusters UNION ALL SELECT min(due) FROM pools)"
    ).fetchone()
    return None if row["due"] is None else int(row["due"])


def tick(ctx: Context) -> None:
    """Let happen what is due by now: machines come first, then clusters that waited for them."""
    pool_routes.tick(ctx)
    lifecycle.tick(ctx)


def usage(ctx: Context, since: int, until: int) -> Iterator[dict[str, Any]]:
    """Rows of `system.billing.usage` for a time (ms), which should have passed."""
    return billing.usage_rows(lifecycle.spells(ctx, since, until), since, until)


def nodes(ctx: Context, since: int, until: int) -> Iterator[dict[str, Any]]:
    """Rows of `system.compute.node_timeline` for a time (ms): one a machine and minute, so ask for hours and not for years."""
    return billing.node_rows(lifecycle.spells(ctx, since, until), since, until)
