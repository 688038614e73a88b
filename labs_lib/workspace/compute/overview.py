"""Compute on the workspace's page."""

from __future__ import annotations

from collections.abc import Iterator

from labs_lib.workspace.compute.clusters import lifecycle
from labs_lib.workspace.compute.policies import routes as policies
from labs_lib.workspace.ground import store
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.overview import Table, moment


def overview(ctx: Context) -> Iterator[Table]:
    """Clusters, the latest first, and policies."""
    clusters = [
        (
            each.spec.get("cluster_name"),
            each.state,
            each.owner,
            each.spec.get("node_type_id") or each.spec.get("instance_pool_id"),
            each.workers,
            moment(each.started),
            moment(each.ended),
        )
        for each in reversed(lifecycle.every(ctx))
    ]
    columns = ("Cluster", "State", "Owner", "Node type or pool", "Workers", "Started", "Ended")
    yield Table("Clusters", columns, clusters)
    found = [body for _, body in store.every(ctx.db, policies.KIND)]
    yield Table(
        "Cluster policies",
        ("Policy", "Creator", "Definition"),
        [(body["name"], body.get("creator_user_name"), body.get("definition")) for body in found],
    )
