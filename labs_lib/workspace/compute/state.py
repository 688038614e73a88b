"""The declared state of compute: policies, pools and clusters, without what runs and what it cost."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from labs_lib.workspace import identity, permissions
from labs_lib.workspace.compute.clusters import lifecycle
from labs_lib.workspace.compute.policies import routes as policies
from labs_lib.workspace.compute.pools import routes as pools
from labs_lib.workspace.compute.specification import ClusterSpec, problems
from labs_lib.workspace.ground import store
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.endpoints import Strict, validated
from labs_lib.workspace.ground.errors import InvalidParameter

Owner = Annotated[str, Field(min_length=1, max_length=255)]


PolicyId = Annotated[str, StringConstraints(pattern="^0{6}[0-9A-F]{10}$")]
PoolId = Annotated[str, StringConstraints(pattern="^pool-[0-9]{6,12}$")]
ClusterId = Annotated[str, StringConstraints(pattern="^[0-9]{4}-[0-9]{6}-[0-9]{8,12}$")]


class PolicyState(policies.Told, Strict):
    policy_id: PolicyId
    creator_user_name: Owner = identity.LEARNER


class PoolState(pools.Told, Strict):
    instance_pool_id: PoolId


class ClusterState(ClusterSpec, Strict):
    cluster_id: ClusterId
    creator_user_name: Owner = identity.LEARNER


class State(Strict):
    policies: Annotated[list[PolicyState], Field(max_length=1_000)] = []
    pools: Annotated[list[PoolState], Field(max_length=1_000)] = []
    clusters: Annotated[list[ClusterState], Field(max_length=1_000)] = []


def export(ctx: Context) -> dict[str, Any]:
    """What is declared. Jobs' clusters are their jobs'."""
    rows = ctx.db.execute("SELECT id, told FROM pools ORDER BY rowid")
    return {
        "policies": [
            {name: value for name, value in body.items() if name != "created_at_timestamp"}
            for _, body in store.every(ctx.db, policies.KIND)
        ],
        "pools": [{"instance_pool_id": row["id"], **json.loads(row["told"])} for row in rows],
        "clusters": [
            {"cluster_id": cluster.id, "creator_user_name": cluster.owner, **cluster.spec}
            for cluster in lifecycle.every(ctx)
            if cluster.source != "JOB"
        ],
    }


def load(ctx: Context, state: dict[str, Any]) -> None:
    """Have exactly these; clusters are terminated, nothing runs, and what was used stays on the bill. Raises InvalidParameter, AlreadyExists."""
    told = validated(State, state)
    for cluster in lifecycle.every(ctx):
        lifecycle.terminate(ctx, cluster)
    before = _objects(ctx)
    store.clear(ctx.db, policies.KIND)
    for table in ("pools", "clusters", "cluster_events"):
        ctx.db.execute(f"DELETE FROM {table}")
    for policy in told.policies:
        policies.keep(ctx, {**policy.model_dump(exclude_none=True), "created_at_timestamp": ctx.now})
        store.reserve_ids(ctx.db, policies.KIND, int(policy.policy_id, 16))
    for pool in told.pools:
        pools.keep_told(
            ctx, pool.instance_pool_id, pool.model_dump(exclude_none=True, exclude={"instance_pool_id"})
        )
        store.reserve_ids(ctx.db, "pool", int(pool.instance_pool_id.rpartition("-")[2]))
    for wanted in told.clusters:
        spec = wanted.spec()
        if "policy_id" in spec and store.get(ctx.db, policies.KIND, spec["policy_id"]) is None:
            raise InvalidParameter(
                f"Cluster {wanted.cluster_id} names the policy {spec['policy_id']!r}, which the state doesn't hold."
            )
        if found := list(problems(spec, pools.node_types(ctx))):
            raise InvalidParameter(f"Cluster {wanted.cluster_id}: {'; '.join(found)}")
        cluster = lifecycle.Cluster(
            wanted.cluster_id, wanted.creator_user_name, "API", "TERMINATED", None, spec, ctx.now
        )
        lifecycle.keep(ctx, cluster)
        store.reserve_ids(ctx.db, "cluster", int(re.sub(r".*-", "", wanted.cluster_id)))
    for object_type, object_id in before - _objects(ctx):
        permissions.forget(ctx, object_type, object_id)


def _objects(ctx: Context) -> set[tuple[str, str]]:
    """All that there are permissions on."""
    found = {(policies.OBJECT, id) for id, _ in store.every(ctx.db, policies.KIND)}
    for object_type, table in ((pools.OBJECT, "pools"), (lifecycle.OBJECT, "clusters")):
        found |= {(object_type, row["id"]) for row in ctx.db.execute(f"SELECT id FROM {table}")}
    return found
