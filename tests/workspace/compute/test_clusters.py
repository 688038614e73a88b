"""Clusters through the real SDK, by the workspace's clock."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

import pytest
from databricks.sdk.errors import (
    DatabricksError,
    InvalidParameterValue,
    InvalidState,
    PermissionDenied,
    ResourceDoesNotExist,
)
from databricks.sdk.service.compute import (
    AutoScale,
    ClusterAccessControlRequest,
    ClusterPermissionLevel,
    EventType,
    GetEventsOrder,
    ListClustersFilterBy,
    State,
    TerminationReasonCode,
)

from labs_lib.workspace import compute
from workspace.conftest import Served

PLAIN: dict[str, Any] = {"spark_version": "16.4.x-scala2.12", "node_type_id": "m5.large", "num_workers": 2}
MINUTE = 60


def running(workspace: Served, **more: Any) -> str:
    """A cluster that runs."""
    id = workspace.client().clusters.create(**{**PLAIN, **more}).cluster_id
    workspace.advance(MINUTE)
    return str(id)


def state(workspace: Served, id: str) -> State | None:
    """A cluster's state now."""
    return workspace.client().clusters.get(id).state


def test_a_cluster_starts_runs_and_ends_as_the_sdk_waits_for_it(workspace: Served) -> None:
    w = workspace.client()
    info = w.clusters.create(cluster_name="c", custom_tags={"team": "risk"}, **PLAIN).result()
    assert (info.state, info.cluster_name, info.num_workers, info.cluster_cores) == (
        State.RUNNING,
        "c",
        2,
        6.0,
    )
    assert info.creator_user_name == "learner@example.com" and len(info.executors or []) == 2
    w.clusters.delete(str(info.cluster_id))
    workspace.advance(MINUTE)
    ended = w.clusters.get(str(info.cluster_id))
    assert ended.state == State.TERMINATED
    assert ended.termination_reason and ended.termination_reason.code == TerminationReasonCode.USER_REQUEST
    w.clusters.ensure_cluster_is_running(str(info.cluster_id))
    assert state(workspace, str(info.cluster_id)) == State.RUNNING


def test_an_unknown_cluster_does_not_exist(workspace: Served) -> None:
    w = workspace.client()
    with pytest.raises(ResourceDoesNotExist, match="Cluster 123__non_existing__ does not exist") as refused:
        w.clusters.get("123__non_existing__")
    assert refused.value.error_code == "INVALID_PARAMETER_VALUE"
    id = running(workspace)
    w.clusters.permanent_delete(id)
    for call in (
        w.clusters.get,
        w.clusters.start,
        w.clusters.delete,
        w.clusters.permanent_delete,
    ):
        with pytest.raises(DatabricksError, match=f"Cluster {id} does not exist"):
            call(id)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({**PLAIN, "autoscale": AutoScale(1, 2)}, "Exactly one of num_workers or autoscale"),
        (
            {"spark_version": PLAIN["spark_version"], "node_type_id": "m5.large"},
            "Exactly one of num_workers or autoscale",
        ),
        (
            {**PLAIN, "num_workers": None, "autoscale": AutoScale(max_workers=2, min_workers=3)},
            "the first at most the second",
        ),
        ({**PLAIN, "num_workers": 0}, "only for single-node clusters"),
        ({**PLAIN, "is_single_node": True}, "A single-node cluster has no workers"),
        (
            {
                **PLAIN,
                "num_workers": None,
                "is_single_node": True,
                "autoscale": AutoScale(max_workers=9, min_workers=1),
            },
            "has no workers",
        ),
        ({**PLAIN, "spark_version": "3.5"}, "unknown spark_version '3.5'"),
        ({**PLAIN, "node_type_id": "m5.huge"}, r"Node type 'm5\.huge' \(node_type_id\) is not supported"),
        ({**PLAIN, "node_type_id": None}, "Missing node_type_id or instance_pool_id"),
        ({**PLAIN, "instance_pool_id": "none"}, "cannot be supplied when an instance pool ID is provided"),
        ({**PLAIN, "node_type_id": None, "instance_pool_id": "none"}, "Instance pool 'none'"),
        ({**PLAIN, "autotermination_minutes": 5}, "between 10 and 10000"),
        ({**PLAIN, "custom_tags": {str(i): "x" for i in range(46)}}, "At most 45 custom_tags"),
        ({**PLAIN, "cluster_name": "x" * 101}, "cluster_name"),
    ],
)
def test_what_can_be_no_cluster_is_refused_with_a_sentence(
    workspace: Served, asked: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidParameterValue, match=sentence):
        workspace.client().clusters.create(**asked)
    assert not list(workspace.client().clusters.list())


@pytest.mark.parametrize(
    "body",
    [
        {"num_workers": "two"},
        {"custom_tags": {"a": 1}},
        {"num_workers": -1},
        {"init_scripts": [[]]},
        {"autoscale": 3},
        {"spark_conf": {"a": "x" * 2_000}},
    ],
)
def test_wrong_types_are_refused_with_the_field(workspace: Served, body: dict[str, Any]) -> None:
    answer = workspace.http.post("/api/2.1/clusters/create", json={**PLAIN, **body})
    assert answer.status_code == 400 and answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"
    assert next(iter(body)) in answer.json()["message"]


def test_a_cluster_that_nobody_uses_ends_and_one_that_is_used_does_not(workspace: Served) -> None:
    id = running(workspace, autotermination_minutes=30)
    workspace.advance(28 * MINUTE)
    assert state(workspace, id) == State.RUNNING
    workspace.advance(3 * MINUTE)
    ended = workspace.client().clusters.get(id)
    assert ended.state == State.TERMINATED and ended.termination_reason
    assert ended.termination_reason.code == TerminationReasonCode.INACTIVITY
    started, stopped = ended.start_time or 0, ended.terminated_time or 0
    assert 29 * MINUTE * 1000 < stopped - started < 31 * MINUTE * 1000  # and not when somebody looked
    never = running(workspace)
    workspace.advance(30 * 24 * 60 * MINUTE)
    assert state(workspace, never) == State.RUNNING


def test_a_cluster_is_restarted_edited_and_resized(workspace: Served) -> None:
    w = workspace.client()
    id = running(workspace, cluster_name="c")
    w.clusters.restart(id)
    assert state(workspace, id) == State.RESTARTING
    with pytest.raises(InvalidState, match="is in state RESTARTING"):
        w.clusters.edit(id, **PLAIN)
    with pytest.raises(InvalidState, match="only a running one can be resized"):
        w.clusters.resize(id, num_workers=3)
    workspace.advance(MINUTE)
    w.clusters.resize(id, num_workers=5)
    assert state(workspace, id) == State.RESIZING
    workspace.advance(MINUTE)
    assert (w.clusters.get(id).num_workers, w.clusters.get(id).cluster_cores) == (5, 12.0)
    w.clusters.edit(id, **{**PLAIN, "node_type_id": "m5.xlarge"})
    workspace.advance(MINUTE)
    edited = w.clusters.get(id)
    assert (edited.state, edited.node_type_id, edited.num_workers, edited.cluster_name) == (
        State.RUNNING,
        "m5.xlarge",
        2,
        "c",
    )
    w.clusters.delete(id)
    workspace.advance(MINUTE)
    w.clusters.edit(id, **PLAIN)
    assert state(workspace, id) == State.TERMINATED
    kinds = [event.type for event in w.clusters.events(id, order=GetEventsOrder.ASC)]
    assert kinds == [
        EventType.CREATING,
        EventType.RUNNING,
        EventType.RESTARTING,
        EventType.RUNNING,
        EventType.RESIZING,
        EventType.UPSIZE_COMPLETED,
        EventType.EDITED,
        EventType.RESTARTING,
        EventType.RUNNING,
        EventType.TERMINATING,
        EventType.EDITED,
    ]


def test_a_scaling_cluster_begins_with_its_fewest_workers(workspace: Served) -> None:
    w = workspace.client()
    id = running(workspace, num_workers=None, autoscale=AutoScale(max_workers=8, min_workers=3))
    info = w.clusters.get(id)
    assert info.autoscale == AutoScale(max_workers=8, min_workers=3) and len(info.executors or []) == 3
    w.clusters.resize(id, autoscale=AutoScale(max_workers=9, min_workers=6))
    workspace.advance(MINUTE)
    assert len(w.clusters.get(id).executors or []) == 6


def test_events_are_paged_filtered_and_bounded_in_time(workspace: Served) -> None:
    w = workspace.client()
    id = running(workspace)
    for _ in range(30):
        w.clusters.restart(id)
        workspace.advance(MINUTE)
    assert len(list(w.clusters.events(id, limit=7))) == 62
    times = [event.timestamp or 0 for event in w.clusters.events(id, limit=7)]
    assert times == sorted(times, reverse=True)
    assert {event.type for event in w.clusters.events(id, event_types=[EventType.RESTARTING])} == {
        EventType.RESTARTING
    }
    assert [event.type for event in w.clusters.events(id, end_time=times[-1])] == [EventType.CREATING]


def test_clusters_are_listed_by_page_and_filter_until_thirty_days_after_their_end(workspace: Served) -> None:
    w = workspace.client()
    ids = [w.clusters.create(cluster_name=str(n), **PLAIN).cluster_id for n in range(5)]
    assert [cluster.cluster_id for cluster in w.clusters.list(page_size=2)] == ids
    w.clusters.delete(ids[0])
    w.clusters.delete(ids[1])
    workspace.advance(MINUTE)
    ended = ListClustersFilterBy(cluster_states=[State.TERMINATED])
    assert [cluster.cluster_id for cluster in w.clusters.list(filter_by=ended)] == ids[:2]
    workspace.advance(31 * 24 * 60 * MINUTE)
    assert [cluster.cluster_id for cluster in w.clusters.list()] == ids[2:]


def test_what_the_sdk_picks_from_what_there_is(workspace: Served) -> None:
    w = workspace.client()
    assert w.clusters.select_node_type(local_disk=True, min_gpus=0) == "i3.xlarge"
    assert w.clusters.select_node_type(min_memory_gb=100, min_cores=16) == "i3.4xlarge"
    assert w.clusters.select_node_type(min_gpus=1) == "g4dn.xlarge"
    assert w.clusters.select_spark_version(long_term_support=True) == "16.4.x-scala2.12"
    assert w.clusters.select_spark_version(ml=True, scala="2.13") == "17.3.x-cpu-ml-scala2.13"


def test_who_may_do_what_with_a_cluster(workspace: Served) -> None:
    w = workspace.client()
    w.users.create(user_name="ben@example.com")
    ben = workspace.client("ben@example.com")
    id = running(workspace)
    acts: list[tuple[str, Any]] = [
        ("CAN_ATTACH_TO", lambda: ben.clusters.get(id)),
        ("CAN_ATTACH_TO", lambda: list(ben.clusters.events(id))),
        ("CAN_RESTART", lambda: ben.clusters.restart(id)),
        ("CAN_RESTART", lambda: ben.clusters.start(id)),
        ("CAN_MANAGE", lambda: ben.clusters.resize(id, num_workers=2)),
        ("CAN_RESTART", lambda: ben.clusters.delete(id)),
        ("CAN_MANAGE", lambda: ben.clusters.permanent_delete(id)),
    ]
    levels = ["CAN_ATTACH_TO", "CAN_RESTART", "CAN_MANAGE"]
    for held in [None, *levels]:
        if held:
            grant = ClusterAccessControlRequest(
                user_name="ben@example.com", permission_level=ClusterPermissionLevel(held)
            )
            w.clusters.update_permissions(id, access_control_list=[grant])
        assert [cluster.cluster_id for cluster in ben.clusters.list()] == ([id] if held else [])
        for needed, act in acts:
            if held is None or levels.index(held) < levels.index(needed):
                with pytest.raises(
                    PermissionDenied, match=f"ben@example.com needs {needed} on clusters/{id}"
                ):
                    act()
            else:
                act()
                w.clusters.start(id) if needed != "CAN_MANAGE" else None
                workspace.advance(MINUTE)
        w.clusters.start(id) if held != "CAN_MANAGE" else None
        workspace.advance(MINUTE)


def test_the_bill_is_by_the_clock_and_to_the_cent(workspace: Served) -> None:
    begun = workspace.advance(0)
    id = running(workspace, custom_tags={"team": "risk"})
    workspace.advance(3_600)
    workspace.client().clusters.resize(id, num_workers=4)
    workspace.advance(3_600)
    workspace.client().clusters.delete(id)
    ended = workspace.advance(10 * 3_600)
    with workspace.transaction() as ctx:
        rows = list(compute.usage(ctx, begun, ended))
        nodes = list(compute.nodes(ctx, begun, ended))
    total = sum(row["usage_quantity"] for row in rows)
    # An hour and a minute with three machines, an hour with five, each machine 0.34: but for the seconds of starting.
    assert abs(total - Decimal("0.34") * (3 * Decimal(61) / 60 + 5)) < Decimal("0.02")
    assert {row["custom_tags"]["team"] for row in rows} == {"risk"}
    assert all((row["usage_end_time"] - row["usage_start_time"]).total_seconds() <= 3_600 for row in rows)
    assert len({row["instance_id"] for row in nodes}) == 5
    with workspace.transaction() as ctx:
        assert not list(compute.usage(ctx, ended, ended + 10**9))


def test_a_run_keeps_its_cluster_and_a_jobs_cluster_is_its_own(workspace: Served) -> None:
    id = running(workspace, autotermination_minutes=10)
    with workspace.transaction() as ctx:
        compute.attach(ctx, id)
    workspace.advance(30 * MINUTE)
    assert state(workspace, id) == State.RUNNING
    with workspace.transaction() as ctx:
        compute.detach(ctx, id)
        used = [row["cpu_user_percent"] for row in compute.nodes(ctx, ctx.now - 45 * MINUTE * 1000, ctx.now)]
    assert (min(used), max(used)) == (0.0, 100.0)
    workspace.advance(11 * MINUTE)
    assert state(workspace, id) == State.TERMINATED
    with workspace.transaction() as ctx:
        job = compute.create(ctx, dict(PLAIN), source="JOB", job_id="7", run_id="8").id
    workspace.advance(MINUTE)
    w = workspace.client()
    with pytest.raises(InvalidParameterValue, match="belongs to a job"):
        w.clusters.edit(job, **PLAIN)
    with workspace.transaction() as ctx:
        compute.terminate(ctx, compute.get(ctx, job), compute.FINISHED)
        rows = list(compute.usage(ctx, 0, ctx.now))
    assert {row["sku_name"] for row in rows if row["usage_metadata"]["job_id"] == "7"} == {
        "PREMIUM_JOBS_COMPUTE"
    }
    reason = w.clusters.get(job).termination_reason
    assert reason and reason.code == TerminationReasonCode.JOB_FINISHED


def test_many_at_once_are_each_answered_and_counted_once(workspace: Served) -> None:
    statuses: list[int] = []

    def ask() -> None:
        for _ in range(10):
            statuses.append(workspace.http.post("/api/2.1/clusters/create", json=PLAIN).status_code)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 80
    assert len({cluster.cluster_id for cluster in workspace.client().clusters.list(page_size=100)}) == 80
