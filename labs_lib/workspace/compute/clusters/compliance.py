"""Policy compliance: which clusters their policy would refuse today, and how one is brought into line."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import Field

from labs_lib.workspace import permissions
from labs_lib.workspace.compute.clusters import lifecycle
from labs_lib.workspace.compute.clusters.lifecycle import OBJECT, Cluster
from labs_lib.workspace.compute.clusters.routes import Which, change
from labs_lib.workspace.compute.policies import routes as policies
from labs_lib.workspace.compute.policies.attributes import flatten
from labs_lib.workspace.compute.policies.rules import Violation, check, comply
from labs_lib.workspace.compute.pools import routes as pools
from labs_lib.workspace.ground import paging
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.endpoints import Endpoint, Model
from labs_lib.workspace.ground.errors import InvalidParameter, NotFound


class Enforced(Which):
    validate_only: bool = False


class Listing(Model):
    policy_id: str
    page_size: Annotated[int, Field(ge=1, le=100)] = 20
    page_token: str | None = None


def _violations(ctx: Context, cluster: Cluster, spec: dict[str, Any]) -> list[Violation]:
    rules = policies.rules_of(policies.get(ctx, cluster.spec["policy_id"]))
    return check(
        rules,
        spec,
        cluster_type="job" if cluster.source == "JOB" else "all-purpose",
        pools=pools.node_types(ctx),
    )


def _status(ctx: Context, cluster: Cluster) -> dict[str, Any]:
    found = _violations(ctx, cluster, cluster.spec)
    return {
        "is_compliant": not found,
        "violations": {violation.path: violation.sentence for violation in found},
    }


def _get(ctx: Context, wanted: Which) -> dict[str, Any]:
    return _status(ctx, _under_policy(ctx, wanted, "CAN_ATTACH_TO"))


def _list(ctx: Context, wanted: Listing) -> dict[str, Any]:
    policies.get(ctx, wanted.policy_id)
    permissions.require(ctx, policies.OBJECT, wanted.policy_id, "CAN_USE")
    seen = [
        cluster
        for cluster in lifecycle.every(ctx)
        if cluster.spec.get("policy_id") == wanted.policy_id
        and permissions.allowed(ctx, OBJECT, cluster.id, "CAN_ATTACH_TO")
    ]
    seen.sort(key=lambda cluster: cluster.id)
    found, token = paging.page(
        ctx,
        f"compliance {wanted.policy_id}",
        seen,
        lambda cluster: [cluster.id],
        wanted.page_size,
        wanted.page_token,
    )
    return {
        "clusters": [{"cluster_id": cluster.id, **_status(ctx, cluster)} for cluster in found],
        **({"next_page_token": token} if token else {}),
    }


def _enforce(ctx: Context, wanted: Enforced) -> dict[str, Any]:
    cluster = _under_policy(ctx, wanted, "CAN_MANAGE")
    rules = policies.rules_of(policies.get(ctx, cluster.spec["policy_id"]))
    target = comply(rules, cluster.spec, pools=pools.node_types(ctx))
    if left := _violations(ctx, cluster, target):
        raise InvalidParameter(
            f"Cluster {cluster.id} can't be brought into line by itself; the policy has no value for {', '.join(each.path for each in left)}."
        )
    old, new = flatten(cluster.spec), flatten(target)
    changes = [
        {"field": path, "previous_value": _told(old.get(path)), "new_value": _told(new.get(path))}
        for path in sorted({*old, *new})
        if old.get(path) != new.get(path)
    ]
    if changes and not wanted.validate_only:
        change(ctx, cluster, target)
    return {"has_changes": bool(changes), "changes": changes}


def _told(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def _under_policy(ctx: Context, wanted: Which, level: str) -> Cluster:
    cluster = lifecycle.get(ctx, wanted.cluster_id)
    permissions.require(ctx, OBJECT, cluster.id, level)
    if not cluster.spec.get("policy_id"):
        raise NotFound(f"Cluster {cluster.id} is under no policy.")
    return cluster


PATH = "/api/2.0/policies/clusters"
ENDPOINTS = (
    Endpoint("GET", f"{PATH}/get-compliance", _get, Which),
    Endpoint("GET", f"{PATH}/list-compliance", _list, Listing),
    Endpoint(
        "POST", f"{PATH}/enforce-compliance", _enforce, Enforced, ("clusterPolicies", "enforceCompliance")
    ),
)
