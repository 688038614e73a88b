"""The Clusters API 2.1, as far as the SDK's ordinary calls go."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field

from labs_lib.workspace import permissions
from labs_lib.workspace.compute.catalogue import NODE_TYPES, SPARK_VERSIONS
from labs_lib.workspace.compute.clusters import lifecycle
from labs_lib.workspace.compute.clusters.admission import admit
from labs_lib.workspace.compute.clusters.lifecycle import OBJECT, Cluster
from labs_lib.workspace.compute.pools import routes as pools
from labs_lib.workspace.compute.specification import Autoscale, ClusterSpec, Count, machines
from labs_lib.workspace.ground import paging
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.endpoints import Endpoint, Model
from labs_lib.workspace.ground.errors import InvalidParameter, InvalidState

DAYS_LISTED = 30 * 24 * 60 * 60 * 1000


class Which(Model):
    cluster_id: str


class Edited(ClusterSpec, Which):
    pass


class Resized(Which):
    num_workers: Count | None = None
    autoscale: Autoscale | None = None


class Listing(Model):
    cluster_states: list[str] = Field([], alias="filter_by.cluster_states")
    cluster_sources: list[str] = Field([], alias="filter_by.cluster_sources")
    policy_id: str | None = Field(None, alias="filter_by.policy_id")
    page_size: Annotated[int, Field(ge=1, le=100)] = 20
    page_token: str | None = None


class Events(Which):
    start_time: int | None = None
    end_time: int | None = None
    order: Literal["ASC", "DESC"] = "DESC"
    event_types: list[str] = []
    offset: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=500)] = 50


def shown(ctx: Context, cluster: Cluster) -> dict[str, Any]:
    """A cluster in the API's words."""
    driver, worker = machines(cluster.spec, pools.node_types(ctx))
    nodes = [
        NODE_TYPES[name] for name in (driver, *[worker] * cluster.workers) if name and name in NODE_TYPES
    ]
    answer = {
        **cluster.spec,
        "cluster_id": cluster.id,
        "creator_user_name": cluster.owner,
        "cluster_source": cluster.source,
        "state": cluster.state,
        "state_message": _message(cluster),
        "start_time": cluster.started,
        "last_restarted_time": cluster.started,
        "last_activity_time": cluster.active,
        "node_type_id": worker,
        "driver_node_type_id": driver,
        "autotermination_minutes": cluster.spec.get("autotermination_minutes", 0),
        "default_tags": {
            "Vendor": "Databricks",
            "Creator": cluster.owner,
            "ClusterName": cluster.spec.get("cluster_name", ""),
            "ClusterId": cluster.id,
        },
        "spec": cluster.spec,
    }
    if "autoscale" not in cluster.spec:
        answer["num_workers"] = cluster.spec.get("num_workers", 0)
    if cluster.state in ("RUNNING", "RESIZING"):
        answer["executors"] = [{"node_id": f"{cluster.id}-{number + 1}"} for number in range(cluster.workers)]
        answer["cluster_cores"] = float(sum(node.cores for node in nodes))
        answer["cluster_memory_mb"] = sum(node.memory_mb for node in nodes)
    if cluster.ended:
        answer |= {"terminated_time": cluster.ended, "termination_reason": cluster.reason}
    return answer


def _message(cluster: Cluster) -> str:
    words = {
        "PENDING": "Starting the machines.",
        "RESTARTING": "Restarting.",
        "RESIZING": "Changing the number of workers.",
    }
    return f"Terminated: {cluster.reason['code']}." if cluster.reason else words.get(cluster.state, "")


def _allowed(ctx: Context, wanted: Which, level: str) -> Cluster:
    cluster = lifecycle.get(ctx, wanted.cluster_id)
    permissions.require(ctx, OBJECT, cluster.id, level)
    return cluster


def _create(ctx: Context, wanted: ClusterSpec) -> dict[str, Any]:
    return {"cluster_id": lifecycle.create(ctx, wanted.spec()).id}


def _edit(ctx: Context, wanted: Edited) -> None:
    """A running cluster restarts as what it is told to be; in states on the way it can't be edited."""
    cluster, spec = _allowed(ctx, wanted, "CAN_MANAGE"), wanted.spec()
    if cluster.source == "JOB":
        raise InvalidParameter(f"Cluster {cluster.id} belongs to a job and can't be edited.")
    if cluster.state not in ("RUNNING", "TERMINATED"):
        raise InvalidState(
            f"Cluster {cluster.id} is in state {cluster.state}; it can be edited when it runs or is terminated."
        )
    spec.setdefault("cluster_name", cluster.spec.get("cluster_name", ""))
    before, cluster.spec = cluster.spec, admit(ctx, spec, before=cluster.spec)
    details = {"attributes": cluster.spec, "previous_attributes": before, "user": ctx.caller.user_name}
    lifecycle.tell(ctx, cluster, "EDITED", details)
    if cluster.state == "RUNNING":
        lifecycle.restart(ctx, cluster)
    else:
        lifecycle.keep(ctx, cluster)


def _start(ctx: Context, wanted: Which) -> None:
    cluster = _allowed(ctx, wanted, "CAN_RESTART")
    if cluster.source == "JOB":
        raise InvalidParameter(f"Cluster {cluster.id} was launched to run a job and can't be started.")
    lifecycle.start(ctx, cluster)


def _restart(ctx: Context, wanted: Which) -> None:
    lifecycle.restart(ctx, _allowed(ctx, wanted, "CAN_RESTART"))


def _delete(ctx: Context, wanted: Which) -> None:
    lifecycle.terminate(ctx, _allowed(ctx, wanted, "CAN_RESTART"))


def _permanent_delete(ctx: Context, wanted: Which) -> None:
    cluster = _allowed(ctx, wanted, "CAN_MANAGE")
    lifecycle.forget(ctx, cluster)


def _resize(ctx: Context, wanted: Resized) -> None:
    cluster = _allowed(ctx, wanted, "CAN_MANAGE")
    told = wanted.model_dump(exclude_none=True, include={"num_workers", "autoscale"})
    kept = {name: value for name, value in cluster.spec.items() if name not in ("num_workers", "autoscale")}
    lifecycle.resize(ctx, cluster, {**kept, **told})


def _get(ctx: Context, wanted: Which) -> dict[str, Any]:
    return shown(ctx, _allowed(ctx, wanted, "CAN_ATTACH_TO"))


def _list(ctx: Context, wanted: Listing) -> dict[str, Any]:
    """Active clusters, and those that ended within thirty days, as far as the caller may see them."""
    seen = [
        cluster
        for cluster in lifecycle.every(ctx)
        if (not cluster.ended or ctx.now - cluster.ended < DAYS_LISTED)
        and (not wanted.cluster_states or cluster.state in wanted.cluster_states)
        and (not wanted.cluster_sources or cluster.source in wanted.cluster_sources)
        and (wanted.policy_id is None or cluster.spec.get("policy_id") == wanted.policy_id)
        and permissions.allowed(ctx, OBJECT, cluster.id, "CAN_ATTACH_TO")
    ]
    scope = f"clusters {wanted.model_dump_json(exclude={'page_token', 'page_size'})}"
    seen.sort(key=_place)
    found, more = paging.page(ctx, scope, seen, _place, wanted.page_size, wanted.page_token)
    return {"clusters": [shown(ctx, cluster) for cluster in found], **more}


def _place(cluster: Cluster) -> list[int | str]:
    return [cluster.created, cluster.id]


def _events(ctx: Context, wanted: Events) -> dict[str, Any]:
    cluster, end = (
        _allowed(ctx, wanted, "CAN_ATTACH_TO"),
        ctx.now if wanted.end_time is None else wanted.end_time,
    )
    rows = ctx.db.execute(
        f"SELECT * FROM cluster_events WHERE cluster_id = ? AND at BETWEEN ? AND ? ORDER BY at {wanted.order}, rowid {wanted.order}",
        (cluster.id, wanted.start_time or 0, end),
    ).fetchall()
    rows = [row for row in rows if not wanted.event_types or row["type"] in wanted.event_types]
    after = wanted.offset + wanted.limit
    events = [
        {
            "cluster_id": cluster.id,
            "timestamp": row["at"],
            "type": row["type"],
            "details": json.loads(row["details"]),
        }
        for row in rows[wanted.offset : after]
    ]
    answer: dict[str, Any] = {"events": events, "total_count": len(rows)}
    if after < len(rows):  # the moment is held fast, so that what happens meanwhile moves no page
        answer["next_page"] = {**wanted.model_dump(exclude_none=True), "end_time": end, "offset": after}
    return answer


def _node_types(ctx: Context, _: Model) -> dict[str, Any]:
    return {"node_types": [node.as_listed() for node in NODE_TYPES.values()]}


def _versions(ctx: Context, _: Model) -> dict[str, Any]:
    return {"versions": [{"key": key, "name": name} for key, name in SPARK_VERSIONS.items()]}


def _exists(ctx: Context, id: str) -> bool:
    return ctx.db.execute("SELECT 1 FROM clusters WHERE id = ?", (id,)).fetchone() is not None


def _declared(ctx: Context, id: str) -> bool:
    return _exists(ctx, id) and lifecycle.get(ctx, id).source != "JOB"


permissions.register(OBJECT, ["CAN_ATTACH_TO", "CAN_RESTART", "CAN_MANAGE"], _exists, declared=_declared)

PATH = "/api/2.1/clusters"
SECRET = frozenset({"spark_env_vars"})
ENDPOINTS = (
    Endpoint("POST", f"{PATH}/create", _create, ClusterSpec, ("clusters", "create"), SECRET),
    Endpoint("POST", f"{PATH}/edit", _edit, Edited, ("clusters", "edit"), SECRET),
    Endpoint("POST", f"{PATH}/start", _start, Which, ("clusters", "start")),
    Endpoint("POST", f"{PATH}/restart", _restart, Which, ("clusters", "restart")),
    Endpoint("POST", f"{PATH}/delete", _delete, Which, ("clusters", "delete")),
    Endpoint("POST", f"{PATH}/permanent-delete", _permanent_delete, Which, ("clusters", "permanentDelete")),
    Endpoint("POST", f"{PATH}/resize", _resize, Resized, ("clusters", "resize")),
    Endpoint("GET", f"{PATH}/get", _get, Which),
    Endpoint("GET", f"{PATH}/list", _list, Listing),
    Endpoint("POST", f"{PATH}/events", _events, Events),
    Endpoint("GET", f"{PATH}/list-node-types", _node_types),
    Endpoint("GET", f"{PATH}/spark-versions", _versions),
)
