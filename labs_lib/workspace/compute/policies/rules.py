"""What a cluster policy refuses and what it fills in. Pure functions: no HTTP, no SQL.

Source: "Compute policy reference" (docs.databricks.com/admin/clusters/policy-definition). In its terms:

- An attribute that no rule names isn't limited at all.
- A limiting rule makes its attribute required, unless `isOptional`. `fixed` sets it where it is missing; `forbidden` wants it missing.
- `defaultValue` fills in only where the request says `apply_policy_default_values`.
- A regular expression has to match the whole value; a blocklist and an allowlist compare the whole value.
- `*` stands for any init script, and for any key of a map; the rule of a very element or key goes first, and just one rule applies.
- `dbus_per_hour` and `cluster_type` are worked out from the cluster and stand in no request.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from labs_lib.workspace.compute.policies.attributes import VIRTUAL, Scalar, flatten, put
from labs_lib.workspace.compute.policies.definitions import Fixed, Forbidden, Policy, version_of
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
    for path, rule in sorted(policy.rules.items(), key=lambda item: not isinstance(item[1], Fixed)):
        value, present = rule.filling(defaults), flatten(filled)
        if value is None or path in present or path in VIRTUAL:
            continue
        others = next((others for start, others in _ALTERNATIVES if path.startswith(start)), ())
        # What the policy itself filled in of autoscale stands beside the rest of it, so only the other way is in the way.
        if not any(given.startswith(other) for given in present for other in others):
            put(filled, path, value)
    if "spark_version" in filled:
        filled["spark_version"] = version_of(filled["spark_version"])
    return filled


def check(
    policy: Policy, spec: Spec, *, cluster_type: str = "all-purpose", pools: Mapping[str, str] = NO_POOLS
) -> list[Violation]:
    """What the policy has against a cluster, all of it; nothing if it may be.

    Args:
        spec: a cluster after `apply_defaults`.
        cluster_type: `all-purpose` or `job`.
        pools: the node type of each pool, by id: machines from a pool are held to the rules of node types.
    """
    given = flatten(spec)
    have = {**_worked_out(spec, cluster_type, pools), **given}
    found = []
    for path, value in have.items():
        rule = policy.rule_for(path)
        if rule is None or (isinstance(rule, Forbidden) and path not in given):
            continue
        if wrong := rule.wrong(value):
            origin = "" if path in given or path in VIRTUAL else " (from its pool or its workers)"
            sentence = f"Validation failed for {path}{origin}, {wrong} (is {json.dumps(value)})"
            found.append(Violation(path, sentence))
    for path, rule in policy.rules.items():
        if path not in have and rule.required:
            found.append(Violation(path, f"Validation failed for {path}, the value must be present"))
    return sorted(found, key=lambda violation: violation.path)


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
