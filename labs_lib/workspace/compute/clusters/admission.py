"""Whether a cluster may be: what the policy fills in and refuses, whose policy and pools it may use, how many it may have."""

from __future__ import annotations

import json
from typing import Any

from labs_lib.workspace import identity, permissions
from labs_lib.workspace.compute.policies import routes as policies
from labs_lib.workspace.compute.policies.rules import apply_defaults, check
from labs_lib.workspace.compute.pools import routes as pools
from labs_lib.workspace.compute.specification import Spec, problems
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.errors import InvalidParameter, PermissionDenied, QuotaExceeded


def admit(
    ctx: Context, spec: Spec, cluster_type: str = "all-purpose", before: Spec | None = None
) -> dict[str, Any]:
    """The cluster that the caller may have, with what its policy fills in.

    `before` is the cluster as it is, if there is one: who may manage it needs no leave anew for the policy and the pools that it has.

    Raises:
        PermissionDenied: no policy and no entitlement to go without; or a policy or pool that isn't the caller's to use.
        InvalidParameter: the policy or the workspace refuses it; all violations are named.
        NotFound: no such policy.
    """
    told = {name: value for name, value in spec.items() if name != "apply_policy_default_values"}
    types = pools.node_types(ctx)
    wrong: list[str] = []
    if policy_id := told.get("policy_id"):
        policy = policies.get(ctx, policy_id)
        if before is None or before.get("policy_id") != policy_id:
            permissions.require(ctx, policies.OBJECT, policy_id, "CAN_USE")
        rules = policies.rules_of(policy)
        told = apply_defaults(rules, told, defaults=bool(spec.get("apply_policy_default_values")))
        wrong = [
            violation.sentence for violation in check(rules, told, cluster_type=cluster_type, pools=types)
        ]
    elif (before is None or "policy_id" in before) and not identity.entitled(ctx, "allow-cluster-create"):
        raise PermissionDenied(
            f"{ctx.caller.user_name} may not create clusters without a policy: that needs the entitlement allow-cluster-create; give a policy_id."
        )
    if found := wrong or list(problems(told, types)):
        raise InvalidParameter(f"Cluster validation error: {'; '.join(found)}")
    had = _pools(before or {})
    for pool in sorted(_pools(told) - had):
        permissions.require(ctx, pools.OBJECT, pool, "CAN_ATTACH_TO")
    return told


def _pools(spec: Spec) -> set[str]:
    return {spec[field] for field in ("instance_pool_id", "driver_instance_pool_id") if field in spec}


def require_place(ctx: Context, policy_id: str | None, owner: str) -> None:
    """Raise QuotaExceeded if the owner has as many active clusters under the policy as it allows.

    Source: "max_clusters_per_user" of the policies interface: clusters of one user that are active, all-purpose and jobs' together.
    """
    policy = policies.get(ctx, policy_id) if policy_id else {}
    if (most := policy.get("max_clusters_per_user")) is None:
        return
    rows = ctx.db.execute(
        "SELECT spec FROM clusters WHERE owner = ? AND state NOT IN ('TERMINATED', 'TERMINATING')", (owner,)
    )
    active = sum(json.loads(row["spec"]).get("policy_id") == policy_id for row in rows)
    if active >= most:
        raise QuotaExceeded(
            f"{owner} has {active} active clusters under the policy {policy['name']!r}, whose max_clusters_per_user is {most}."
        )
