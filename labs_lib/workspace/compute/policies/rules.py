"""What a cluster policy refuses and what it fills in. Pure functions: no HTTP, no SQL.

Source: "Compute policy reference" (docs.databricks.com/admin/clusters/policy-definition). In its terms:

- An attribute that no rule names isn't limited at all.
- A limiting rule makes its attribute required, unless `isOptional`. `fixed` sets it where it is missing; `forbidden` wants it missing.
- `defaultValue` fills in only where the request says `apply_policy_default_values`.
- A regular expression has to match the whole value; a blocklist and an allowlist compare the whole value.
- `*` stands for any element of an array, and for any key of a map; the rule of a very element or key goes first, and just one rule applies.
- `dbus_per_hour` and `cluster_type` are worked out from the cluster and stand in no request.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from labs_lib.workspace.compute.policies.attributes import VIRTUAL, Scalar, flatten, put, remove
from labs_lib.workspace.compute.policies.definitions import Policy, version_of
from labs_lib.workspace.compute.specification import Spec, dbus_per_hour, machines

NO_POOLS: Mapping[str, str] = MappingProxyType({})

# Of these, what a cluster says in one way is said: nothing is filled in of the other.
_ALTERNATIVES = (
    ("num_workers", ("autoscale.",)),
    ("autoscale.", ("num_workers",)),
    ("node_type_id", ("instance_pool_id",)),
    ("driver_node_type_id", ("instance_pool_id", "driver_instance_pool_id")),
    ("instance_pool_id", ("node_type_id", "driver_node_type_id")),
    ("driver_instance_pool_id", ("node_type_id", "driver_node_type_id")),
)


@dataclass(frozen=True)
class Violation:
    """An attribute that a cluster must not have, or not so; `sentence` says which rule refused which value."""

    path: str
    sentence: str


def apply_defaults(policy: Policy, spec: Spec, *, defaults: bool) -> dict[str, Any]:
    """The cluster with what the policy fills in where it says nothing: fixed values always, `defaultValue` if `defaults`."""
    filled: dict[str, Any] = copy.deepcopy(dict(spec))
    # The type of a log goes before its path, so that there is a place for it.
    for rule in sorted(
        policy.rules.values(), key=lambda rule: (rule.type != "fixed", rule.path != "cluster_log_conf.type")
    ):
        value = rule.value if rule.type == "fixed" else rule.default if defaults else None
        present = flatten(filled)
        if value is None or rule.path in present or rule.path in VIRTUAL:
            continue
        others = next((others for start, others in _ALTERNATIVES if rule.path.startswith(start)), ())
        # What the policy itself filled in of autoscale stands beside the rest of it, so only the other way is in the way.
        if not any(path.startswith(other) for path in present for other in others):
            put(filled, rule.path, version_of(rule.path, value))
    if "spark_version" in filled:
        filled["spark_version"] = version_of("spark_version", filled["spark_version"])
    return filled


def check(
    policy: Policy, spec: Spec, *, cluster_type: str = "all-purpose", pools: Mapping[str, str] = NO_POOLS
) -> list[Violation]:
    """What the policy has against a cluster, all of it; nothing if it may be.

    Args:
        spec: a cluster after `apply_defaults`.
        cluster_type: `all-purpose`, `job` or `dlt`.
        pools: the node type of each pool, by id: machines from a pool are held to the rules of node types.
    """
    given = flatten(spec)
    found = []
    for path, value in {**_worked_out(spec, cluster_type, pools), **given}.items():
        rule = policy.rule_for(path)
        if rule is None or (rule.type == "forbidden" and path not in given):
            continue
        if wrong := rule.wrong(value):
            origin = "" if path in given or path in VIRTUAL else " (from its pool or its workers)"
            found.append(
                Violation(path, f"Validation failed for {path}{origin}, {wrong} (is {json.dumps(value)})")
            )
    have = {*given, *_worked_out(spec, cluster_type, pools)}
    for path, rule in policy.rules.items():
        if path not in have and rule.type != "forbidden" and not rule.optional:
            found.append(Violation(path, f"Validation failed for {path}, the value must be present"))
    return sorted(found, key=lambda violation: violation.path)


def comply(
    policy: Policy, spec: Spec, *, cluster_type: str = "all-purpose", pools: Mapping[str, str] = NO_POOLS
) -> dict[str, Any]:
    """The cluster changed so that the policy is kept, as far as fixed values, defaults and prohibitions tell how.

    What still violates it afterwards, `check` tells.
    """
    changed: dict[str, Any] = copy.deepcopy(dict(spec))
    for violation in check(policy, spec, cluster_type=cluster_type, pools=pools):
        remove(changed, violation.path)
    return apply_defaults(policy, changed, defaults=True)


def _worked_out(spec: Spec, cluster_type: str, pools: Mapping[str, str]) -> dict[str, Scalar]:
    """What a cluster is without saying so: its type, its DBUs, the machines that its pool or its workers decide."""
    driver, worker = machines(spec, pools)
    found = {
        "cluster_type": cluster_type,
        "dbus_per_hour": float(dbus_per_hour(spec, pools)),
        "node_type_id": worker,
        "driver_node_type_id": driver,
        "driver_instance_pool_id": spec.get("instance_pool_id"),
    }
    return {path: value for path, value in found.items() if value is not None}
