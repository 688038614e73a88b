"""Declared state of compute: what was exported is loaded elsewhere and works there; what isn't sound is refused as a whole."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from databricks.sdk.service.compute import (
    InstancePoolAccessControlRequest,
    InstancePoolPermissionLevel,
    State,
)

from workspace.conftest import Served


def state(workspace: Served) -> dict[str, Any]:
    """Two policies, a pool and a cluster, exported."""
    w = workspace.client()
    own = w.cluster_policies.create(
        name="own",
        definition=json.dumps({"num_workers": {"type": "range", "maxValue": 2}}),
        max_clusters_per_user=4,
    )
    w.cluster_policies.create(name="free", definition="{}")
    pool = w.instance_pools.create(
        instance_pool_name="p", node_type_id="m5.large", min_idle_instances=1, custom_tags={"team": "risk"}
    )
    w.clusters.create(
        cluster_name="c",
        policy_id=own.policy_id,
        instance_pool_id=pool.instance_pool_id,
        spark_version="16.4.x-scala2.12",
        num_workers=1,
    )
    return exported(workspace)


def exported(workspace: Served) -> dict[str, Any]:
    """The whole workspace's state."""
    answer = workspace.http.get("/api/labs/state")
    answer.raise_for_status()
    return dict(answer.json())


def test_what_was_exported_is_loaded_and_works(workspace: Served) -> None:
    told = state(workspace)
    w = workspace.client()
    for cluster in w.clusters.list():
        w.clusters.permanent_delete(str(cluster.cluster_id))
    for policy in w.cluster_policies.list():
        w.cluster_policies.delete(str(policy.policy_id))
    w.instance_pools.create(instance_pool_name="other", node_type_id="m5.large")
    workspace.http.put("/api/labs/state", json=told).raise_for_status()
    assert exported(workspace)["compute"] == told["compute"]
    (cluster,) = w.clusters.list()
    w.clusters.start(str(cluster.cluster_id))
    workspace.advance(60)
    started = w.clusters.get(str(cluster.cluster_id))
    assert (started.num_workers, started.state) == (1, State.RUNNING)
    assert w.cluster_policies.create(name="new", definition="{}").policy_id not in [
        each["policy_id"] for each in told["compute"]["policies"]
    ]


def test_ids_go_on_above_those_that_were_loaded(workspace: Served) -> None:
    told = state(workspace)["compute"]
    for kind, field, prefix, base in (
        ("policies", "policy_id", "", 16),
        ("pools", "instance_pool_id", "pool-", 10),
    ):
        old = told[kind][-1][field].removeprefix(prefix)
        new = f"{int(old, base) + 1:0{len(old)}{'X' if base == 16 else 'd'}}"
        told = json.loads(json.dumps(told).replace(f"{prefix}{old}", f"{prefix}{new}"))
    workspace.http.put("/api/labs/state", json={"compute": told}).raise_for_status()
    w = workspace.client()
    w.cluster_policies.create(name="new", definition="{}")
    w.instance_pools.create(instance_pool_name="new", node_type_id="m5.large")
    assert {policy.name for policy in w.cluster_policies.list()} == {"own", "free", "new"}
    assert {pool.instance_pool_name for pool in w.instance_pools.list()} == {"p", "new"}


def test_what_a_load_takes_away_leaves_no_leave_behind(workspace: Served) -> None:
    told = state(workspace)
    w = workspace.client()
    w.users.create(user_name="ben@example.com")
    id = told["compute"]["pools"][0]["instance_pool_id"]
    grant = InstancePoolAccessControlRequest(
        user_name="ben@example.com", permission_level=InstancePoolPermissionLevel.CAN_MANAGE
    )
    w.instance_pools.update_permissions(id, access_control_list=[grant])
    ben = workspace.client("ben@example.com")
    assert [pool.instance_pool_id for pool in ben.instance_pools.list()] == [id]
    for section in ({}, told["compute"]):
        workspace.http.put("/api/labs/state", json={"compute": section}).raise_for_status()
    assert w.instance_pools.get(id).instance_pool_id == id
    assert not list(ben.instance_pools.list())


SABOTAGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "unknown field": (lambda s: s["policies"][0].update(extra=1), "extra"),
    "unknown section": (lambda s: s.update(budgets=[]), "budgets"),
    "malformed definition": (
        lambda s: s["policies"][0].update(definition='{"num_workers": {"type": "max"}}'),
        "'max' found using 'type'",
    ),
    "huge definition": (lambda s: s["policies"][0].update(definition=" " * 200_000 + "{}"), "characters"),
    "endless expression": (
        lambda s: s["policies"][0].update(
            definition='{"cluster_name": {"type": "regex", "pattern": "(a+)\\\\1+"}}'
        ),
        "no back references",
    ),
    "two of a name": (
        lambda s: s["policies"].append({**s["policies"][0], "policy_id": "0" * 16}),
        "named 'own' already",
    ),
    "name with a quote": (lambda s: s["policies"][0].update(name="o'wn"), "name"),
    "name with a control character": (
        lambda s: s["pools"][0].update(instance_pool_name="a\u0000b"),
        "instance_pool_name",
    ),
    "id of another kind": (lambda s: s["pools"][0].update(instance_pool_id="../etc"), "instance_pool_id"),
    "an id at the end of the integers": (
        lambda s: s["policies"][1].update(policy_id="7FFFFFFFFFFFFFFF"),
        "policy_id",
    ),
    "unknown machine": (lambda s: s["pools"][0].update(node_type_id="m5.huge"), "m5.huge"),
    "cluster of no policy there": (lambda s: s["policies"].pop(0), "which the state doesn't hold"),
    "cluster of no pool there": (lambda s: s["pools"].clear(), "does not exist"),
    "numbers as texts": (lambda s: s["pools"][0].update(min_idle_instances="many"), "min_idle_instances"),
}


@pytest.mark.parametrize("name", SABOTAGES)
def test_what_is_not_sound_is_refused_as_a_whole(workspace: Served, name: str) -> None:
    told = state(workspace)
    sabotage, sentence = SABOTAGES[name]
    broken = copy.deepcopy(told)
    sabotage(broken["compute"])
    answer = workspace.http.put("/api/labs/state", json={"compute": broken["compute"]})
    assert answer.status_code == 400 and sentence in answer.json()["message"]
    assert exported(workspace)["compute"] == told["compute"]
