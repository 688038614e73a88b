"""Cluster policies through the real SDK."""

from __future__ import annotations

import json
from typing import Any

import pytest
from databricks.sdk.errors import InvalidParameterValue, NotFound, PermissionDenied, ResourceAlreadyExists
from databricks.sdk.service.compute import (
    ClusterPolicyAccessControlRequest,
    ClusterPolicyPermissionLevel,
    State,
)
from databricks.sdk.service.iam import ComplexValue, Patch, PatchOp, PatchSchema

from workspace.conftest import Served

SCHEMA = [PatchSchema.URN_IETF_PARAMS_SCIM_API_MESSAGES_2_0_PATCH_OP]
ANA = "ana@example.com"
SMALL = {
    "num_workers": {"type": "range", "maxValue": 2},
    "node_type_id": {"type": "allowlist", "values": ["m5.large", "m5.xlarge"], "defaultValue": "m5.large"},
    "spark_version": {"type": "fixed", "value": "auto:prev-lts"},
    "custom_tags.team": {"type": "fixed", "value": "risk"},
    "autotermination_minutes": {"type": "range", "minValue": 10, "maxValue": 60, "defaultValue": 30},
}


def policy(
    workspace: Served,
    rules: dict[str, Any] = SMALL,
    name: str = "small",
    users: tuple[str, ...] = (ANA,),
    **more: Any,
) -> str:
    """A policy that these users may use."""
    w = workspace.client()
    made = w.cluster_policies.create(name=name, definition=json.dumps(rules), **more)
    for user in users:
        if not list(w.users.list(filter=f'userName eq "{user}"')):
            w.users.create(user_name=user)
        grant = ClusterPolicyAccessControlRequest(
            user_name=user, permission_level=ClusterPolicyPermissionLevel.CAN_USE
        )
        w.cluster_policies.update_permissions(str(made.policy_id), access_control_list=[grant])
    return str(made.policy_id)


def test_policies_are_made_seen_edited_and_deleted(workspace: Served) -> None:
    w = workspace.client()
    id = policy(workspace, users=(), description="d", max_clusters_per_user=3)
    with pytest.raises(ResourceAlreadyExists, match="small"):
        policy(workspace, users=())
    found = w.cluster_policies.get(id)
    assert (found.name, json.loads(found.definition or ""), found.max_clusters_per_user) == (
        "small",
        SMALL,
        3,
    )
    w.cluster_policies.edit(id, name="tiny", definition="{}")
    assert [(each.name, each.definition, each.description) for each in w.cluster_policies.list()] == [
        ("tiny", "{}", None)
    ]
    w.cluster_policies.delete(id)
    with pytest.raises(NotFound, match=id):
        w.cluster_policies.get(id)


def test_a_malformed_definition_is_refused_with_its_attribute(workspace: Served) -> None:
    w = workspace.client()
    with pytest.raises(
        InvalidParameterValue, match=r"'cluster_dbu_quota': is no attribute that a policy can limit"
    ):
        w.cluster_policies.create(
            name="p", definition='{"cluster_dbu_quota": {"type": "range", "maxValue": 9}}'
        )
    with pytest.raises(InvalidParameterValue, match="definition is missing"):
        w.cluster_policies.create(name="p")
    id = policy(workspace, users=())
    with pytest.raises(InvalidParameterValue, match="does not match any of the expected tags"):
        w.cluster_policies.edit(id, name="small", definition='{"num_workers": {"type": "max"}}')
    assert json.loads(w.cluster_policies.get(id).definition or "") == SMALL


def test_only_admins_change_policies_and_only_who_may_use_them_sees_them(workspace: Served) -> None:
    id = policy(workspace)
    hidden = policy(workspace, name="hidden", users=())
    ana = workspace.client(ANA)
    assert [each.policy_id for each in ana.cluster_policies.list()] == [id]
    assert ana.cluster_policies.get(id).name == "small"
    with pytest.raises(PermissionDenied, match="needs CAN_USE"):
        ana.cluster_policies.get(hidden)
    for forbidden in (
        lambda: ana.cluster_policies.create(name="mine", definition="{}"),
        lambda: ana.cluster_policies.edit(id, name="small", definition="{}"),
        lambda: ana.cluster_policies.delete(id),
        lambda: ana.cluster_policies.set_permissions(id, access_control_list=[]),
    ):
        with pytest.raises(PermissionDenied, match="Only an admin"):
            forbidden()


def test_a_policy_fills_in_and_refuses_what_its_user_asks_for(workspace: Served) -> None:
    id = policy(workspace)
    ana = workspace.client(ANA)
    with pytest.raises(
        InvalidParameterValue,
        match=r"node_type_id, the value must be one of m5\.large, .*num_workers, the value must be at most 2 \(is 3\)",
    ):
        ana.clusters.create(
            policy_id=id,
            spark_version="16.4.x-scala2.12",
            num_workers=3,
            node_type_id="i3.4xlarge",
            apply_policy_default_values=True,
        )
    with pytest.raises(InvalidParameterValue, match="autotermination_minutes, the value must be present"):
        ana.clusters.create(
            policy_id=id, spark_version="16.4.x-scala2.12", num_workers=1, node_type_id="m5.large"
        )
    assert not list(ana.clusters.list())
    wait = ana.clusters.create(
        policy_id=id, spark_version="16.4.x-scala2.12", num_workers=1, apply_policy_default_values=True
    )
    cluster = ana.clusters.get(wait.cluster_id)
    assert (cluster.node_type_id, cluster.custom_tags, cluster.autotermination_minutes) == (
        "m5.large",
        {"team": "risk"},
        30,
    )
    with pytest.raises(InvalidParameterValue, match="at most 2"):
        workspace.advance(60)
        ana.clusters.resize(wait.cluster_id, num_workers=5)


def test_without_entitlement_or_a_policy_of_ones_own_there_is_no_cluster(workspace: Served) -> None:
    hidden = policy(workspace, name="hidden", users=())
    policy(workspace)
    ana = workspace.client(ANA)
    plain = {"spark_version": "16.4.x-scala2.12", "num_workers": 1, "node_type_id": "m5.large"}
    with pytest.raises(PermissionDenied, match="entitlement allow-cluster-create"):
        ana.clusters.create(**plain)
    with pytest.raises(PermissionDenied, match="needs CAN_USE"):
        ana.clusters.create(policy_id=hidden, **plain)
    w = workspace.client()
    group = w.groups.create(
        display_name="builders", entitlements=[ComplexValue(value="allow-cluster-create")]
    )
    user = next(iter(w.users.list(filter=f'userName eq "{ANA}"')))
    joining = Patch(op=PatchOp.ADD, path="members", value=[{"value": user.id}])
    w.groups.patch(str(group.id), operations=[joining], schemas=SCHEMA)
    assert ana.clusters.create(**plain).cluster_id


def test_an_edit_is_no_way_out_of_a_policy(workspace: Served) -> None:
    id = policy(workspace)
    wide = policy(workspace, rules={}, name="wide", users=())
    ana = workspace.client(ANA)
    asked = {
        "spark_version": "16.4.x-scala2.12",
        "num_workers": 1,
        "node_type_id": "m5.large",
        "autotermination_minutes": 30,
    }
    cluster = ana.clusters.create(policy_id=id, **asked).cluster_id
    workspace.advance(60)
    with pytest.raises(PermissionDenied, match="entitlement allow-cluster-create"):
        ana.clusters.edit(cluster, **asked)
    with pytest.raises(PermissionDenied, match="needs CAN_USE"):
        ana.clusters.edit(cluster, policy_id=wide, **asked)
    with pytest.raises(InvalidParameterValue, match="at most 2"):
        ana.clusters.edit(cluster, policy_id=id, **{**asked, "num_workers": 9})
    assert ana.clusters.get(cluster).state == State.RUNNING
    ana.clusters.edit(cluster, policy_id=id, **{**asked, "num_workers": 2})
    assert ana.clusters.get(cluster).num_workers == 2


def test_each_user_has_so_many_active_clusters_under_a_policy(workspace: Served) -> None:
    id = policy(workspace, users=(ANA, "ben@example.com"), max_clusters_per_user=1)
    asked = {
        "policy_id": id,
        "spark_version": "16.4.x-scala2.12",
        "num_workers": 1,
        "apply_policy_default_values": True,
    }
    ana = workspace.client(ANA)
    first = ana.clusters.create(**asked).cluster_id
    with pytest.raises(
        Exception, match="has 1 active clusters under the policy 'small', whose max_clusters_per_user is 1"
    ) as refused:
        ana.clusters.create(**asked)
    assert getattr(refused.value, "error_code", "") == "QUOTA_EXCEEDED"
    assert workspace.client("ben@example.com").clusters.create(**asked).cluster_id
    ana.clusters.delete(first)
    second = ana.clusters.create(**asked).cluster_id
    workspace.advance(60)
    with pytest.raises(Exception, match="has 1 active clusters"):
        ana.clusters.start(first)
    ana.clusters.delete(second)
    ana.clusters.start(first)


def test_a_policys_clusters_outlive_it_and_can_not_be_edited(workspace: Served) -> None:
    id = policy(workspace)
    ana = workspace.client(ANA)
    cluster = ana.clusters.create(
        policy_id=id, spark_version="16.4.x-scala2.12", num_workers=1, apply_policy_default_values=True
    ).cluster_id
    workspace.advance(60)
    workspace.client().cluster_policies.delete(id)
    assert ana.clusters.get(cluster).state == State.RUNNING
    with pytest.raises(NotFound, match=id):
        ana.clusters.edit(
            cluster, policy_id=id, spark_version="16.4.x-scala2.12", num_workers=2, node_type_id="m5.large"
        )
