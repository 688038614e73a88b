"""Instance pools through the real SDK, by the workspace's clock."""

from __future__ import annotations

from typing import Any

import pytest
from databricks.sdk.errors import (
    InvalidParameterValue,
    NotFound,
    PermissionDenied,
    ResourceAlreadyExists,
    ResourceExhausted,
)
from databricks.sdk.service.compute import (
    InstancePoolAccessControlRequest,
    InstancePoolPermissionLevel,
    State,
)

from workspace.conftest import Served

MINUTE = 60
VERSION = "16.4.x-scala2.12"


def pool(workspace: Served, name: str = "p", **more: Any) -> str:
    """A pool of small machines."""
    return str(
        workspace.client()
        .instance_pools.create(instance_pool_name=name, **{"node_type_id": "m5.large", **more})
        .instance_pool_id
    )


def stats(workspace: Served, id: str) -> tuple[int | None, ...]:
    """Used, idle, coming for a cluster, coming to idle."""
    found = workspace.client().instance_pools.get(id).stats
    assert found
    return found.used_count, found.idle_count, found.pending_used_count, found.pending_idle_count


def test_pools_are_made_seen_edited_and_deleted(workspace: Served) -> None:
    w = workspace.client()
    id = pool(workspace, custom_tags={"team": "risk"}, preloaded_spark_versions=[VERSION], max_capacity=5)
    with pytest.raises(ResourceAlreadyExists, match="'p'"):
        pool(workspace)
    w.instance_pools.edit(id, instance_pool_name="q", node_type_id="m5.large", min_idle_instances=1)
    found = w.instance_pools.get(id)
    assert (found.instance_pool_name, found.min_idle_instances, found.max_capacity) == ("q", 1, None)
    assert found.preloaded_spark_versions == [VERSION]
    assert [each.instance_pool_id for each in w.instance_pools.list()] == [id]
    for wrong, sentence in (
        ({"node_type_id": "m5.xlarge"}, "node type can't be edited"),
        (
            {"node_type_id": "m5.large", "min_idle_instances": 3, "max_capacity": 2},
            "min_idle_instances 3 is above max_capacity 2",
        ),
    ):
        with pytest.raises(InvalidParameterValue, match=sentence):
            w.instance_pools.edit(id, instance_pool_name="q", **wrong)
    with pytest.raises(InvalidParameterValue, match=r"m5\.huge"):
        pool(workspace, "r", node_type_id="m5.huge")
    w.instance_pools.delete(id)
    with pytest.raises(NotFound, match=id):
        w.instance_pools.get(id)


def test_machines_come_are_used_idle_and_go(workspace: Served) -> None:
    w = workspace.client()
    id = pool(workspace, min_idle_instances=2, idle_instance_autotermination_minutes=20)
    assert stats(workspace, id) == (0, 0, 0, 2)
    workspace.advance(MINUTE)
    assert stats(workspace, id) == (0, 2, 0, 0)
    cluster = w.clusters.create(spark_version=VERSION, instance_pool_id=id, num_workers=3).cluster_id
    assert stats(workspace, id) == (2, 0, 2, 2)
    workspace.advance(MINUTE)
    assert (stats(workspace, id), w.clusters.get(cluster).state) == ((4, 2, 0, 0), State.RUNNING)
    assert (w.clusters.get(cluster).node_type_id, w.clusters.get(cluster).driver_node_type_id) == (
        "m5.large",
        "m5.large",
    )
    w.clusters.resize(cluster, num_workers=1)
    assert stats(workspace, id) == (2, 4, 0, 0)
    w.clusters.delete(cluster)
    assert stats(workspace, id) == (0, 6, 0, 0)
    workspace.advance(21 * MINUTE)
    assert stats(workspace, id) == (0, 2, 0, 0)


def test_who_finds_idle_machines_runs_sooner(workspace: Served) -> None:
    w = workspace.client()
    id = pool(workspace, min_idle_instances=2, preloaded_spark_versions=[VERSION])
    workspace.advance(MINUTE)
    warm = w.clusters.create(spark_version=VERSION, instance_pool_id=id, num_workers=1).cluster_id
    cold = w.clusters.create(spark_version=VERSION, node_type_id="m5.large", num_workers=1).cluster_id
    workspace.advance(MINUTE)
    took = {}
    for name, cluster in (("warm", warm), ("cold", cold)):
        events = {
            str(event.type).rpartition(".")[2]: event.timestamp or 0 for event in w.clusters.events(cluster)
        }
        took[name] = events["RUNNING"] - events["CREATING"]
    assert took == {"warm": 500, "cold": 3_000}


def test_a_full_pool_refuses_and_says_so_and_nothing_is_half_done(workspace: Served) -> None:
    w = workspace.client()
    id = pool(workspace, max_capacity=4)
    first = w.clusters.create(spark_version=VERSION, instance_pool_id=id, num_workers=2).cluster_id
    sentence = "INSTANCE_POOL_MAX_CAPACITY_FAILURE: the pool 'p' has max_capacity 4, of which 3 are used: 1 can be had and 2 are asked for"
    with pytest.raises(ResourceExhausted, match=sentence):
        w.clusters.create(spark_version=VERSION, instance_pool_id=id, num_workers=1)
    workspace.advance(MINUTE)
    with pytest.raises(ResourceExhausted, match="INSTANCE_POOL_MAX_CAPACITY_FAILURE"):
        w.clusters.resize(first, num_workers=4)
    assert stats(workspace, id) == (3, 0, 0, 0) and w.clusters.get(first).num_workers == 2
    other = pool(workspace, "driver", max_capacity=1)
    with pytest.raises(ResourceExhausted):
        w.clusters.create(
            spark_version=VERSION, instance_pool_id=id, driver_instance_pool_id=other, num_workers=2
        )
    assert stats(workspace, other) == (0, 0, 0, 0)
    assert len(list(w.clusters.list())) == 1


def test_a_drivers_pool_is_its_own(workspace: Served) -> None:
    w = workspace.client()
    small, large = pool(workspace), pool(workspace, "large", node_type_id="i3.4xlarge")
    cluster = w.clusters.create(
        spark_version=VERSION, instance_pool_id=small, driver_instance_pool_id=large, num_workers=2
    ).cluster_id
    workspace.advance(MINUTE)
    found = w.clusters.get(cluster)
    assert (found.node_type_id, found.driver_node_type_id, found.cluster_cores) == (
        "m5.large",
        "i3.4xlarge",
        20.0,
    )
    assert (stats(workspace, small)[0], stats(workspace, large)[0]) == (2, 1)


def test_a_pool_is_used_by_whom_it_is_granted_to(workspace: Served) -> None:
    w = workspace.client()
    w.users.create(user_name="ben@example.com")
    ben = workspace.client("ben@example.com")
    id = pool(workspace)
    policy = w.cluster_policies.create(name="any", definition="{}").policy_id
    workspace.http.patch(
        f"/api/2.0/permissions/cluster-policies/{policy}",
        json={"access_control_list": [{"user_name": "ben@example.com", "permission_level": "CAN_USE"}]},
    ).raise_for_status()
    asked: dict[str, Any] = {
        "spark_version": VERSION,
        "policy_id": policy,
        "instance_pool_id": id,
        "num_workers": 1,
    }
    with pytest.raises(PermissionDenied, match=f"needs CAN_ATTACH_TO on instance-pools/{id}"):
        ben.clusters.create(**asked)
    assert not list(ben.instance_pools.list())
    with pytest.raises(PermissionDenied, match="allow-instance-pool-create"):
        ben.instance_pools.create(instance_pool_name="mine", node_type_id="m5.large")
    grant = InstancePoolAccessControlRequest(
        user_name="ben@example.com", permission_level=InstancePoolPermissionLevel.CAN_ATTACH_TO
    )
    w.instance_pools.update_permissions(id, access_control_list=[grant])
    assert ben.clusters.create(**asked).cluster_id
    with pytest.raises(PermissionDenied, match="needs CAN_MANAGE"):
        ben.instance_pools.delete(id)


def test_a_running_clusters_machines_outlive_its_pool(workspace: Served) -> None:
    w = workspace.client()
    id = pool(workspace)
    cluster = w.clusters.create(spark_version=VERSION, instance_pool_id=id, num_workers=1).cluster_id
    workspace.advance(MINUTE)
    w.instance_pools.delete(id)
    assert w.clusters.get(cluster).state == State.RUNNING
    w.clusters.delete(cluster)
    workspace.advance(MINUTE)
    with pytest.raises(NotFound, match=id):
        w.clusters.start(cluster)
