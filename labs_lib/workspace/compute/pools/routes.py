"""Instance pools in the store, by the workspace's clock."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import Field

from labs_lib.workspace import identity, permissions
from labs_lib.workspace.compute.catalogue import NODE_TYPES, SPARK_VERSIONS
from labs_lib.workspace.compute.pools.capacity import LIVE, Full, Machines, Settings
from labs_lib.workspace.compute.specification import Texts
from labs_lib.workspace.ground import store
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.endpoints import Endpoint, Model, Name
from labs_lib.workspace.ground.errors import (
    AlreadyExists,
    InvalidParameter,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
)

SCHEMA = """
CREATE TABLE IF NOT EXISTS pools (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, told TEXT NOT NULL, machines TEXT NOT NULL, due INTEGER);
CREATE INDEX IF NOT EXISTS pools_due ON pools (due);
"""
OBJECT = "instance-pools"
Count = Annotated[int, Field(ge=0, le=10_000)]


class Editable(Model):
    """What may be changed of a pool."""

    instance_pool_name: Annotated[Name, Field(min_length=1, max_length=100)]
    node_type_id: str
    min_idle_instances: Count = 0
    max_capacity: Annotated[int, Field(ge=1, le=10_000)] | None = None
    idle_instance_autotermination_minutes: Count = 60
    custom_tags: Texts = {}


class Told(Editable):
    preloaded_spark_versions: Annotated[list[str], Field(max_length=10)] = []


class Which(Model):
    instance_pool_id: str


class Edited(Editable, Which):
    pass


def node_types(ctx: Context) -> dict[str, str]:
    """The node type of each pool, by the pool's id."""
    return {
        row["id"]: json.loads(row["told"])["node_type_id"]
        for row in ctx.db.execute("SELECT id, told FROM pools")
    }


def told_of(ctx: Context, pool_id: str) -> dict[str, Any]:
    """What a pool was told to be. Raises NotFound."""
    return _read(ctx, pool_id)[0]


def take(ctx: Context, pool_id: str, count: int) -> int:
    """Machines for a cluster; returns when the last is there (ms). Raises ResourceExhausted if the pool is full, and takes none."""
    told, machines = _read(ctx, pool_id)
    try:
        ready = machines.take(count, ctx.now)
    except Full as full:
        raise ResourceExhausted(
            f"INSTANCE_POOL_MAX_CAPACITY_FAILURE: the pool {told['instance_pool_name']!r} has max_capacity {told['max_capacity']}, of which "
            f"{machines.used} are used: {full.free} can be had and {count} are asked for."
        ) from None
    _keep(ctx, pool_id, told, machines)
    return ready


def give_back(ctx: Context, pool_id: str, count: int) -> None:
    """Have a cluster's machines again; those of a pool that was deleted are gone."""
    if ctx.db.execute("SELECT 1 FROM pools WHERE id = ?", (pool_id,)).fetchone():
        told, machines = _read(ctx, pool_id)
        machines.give_back(count, ctx.now)
        _keep(ctx, pool_id, told, machines)


def tick(ctx: Context) -> None:
    """Let machines come and go that are due by now."""
    for row in ctx.db.execute("SELECT id FROM pools WHERE due <= ?", (ctx.now,)).fetchall():
        told, machines = _read(ctx, row["id"])
        machines.advance(ctx.now)
        _keep(ctx, row["id"], told, machines)


def keep_told(ctx: Context, pool_id: str, told: dict[str, Any]) -> None:
    """Store what a pool is told to be. Raises InvalidParameter, AlreadyExists."""
    if told["node_type_id"] not in NODE_TYPES:
        raise InvalidParameter(
            f"Node type {told['node_type_id']!r} is not supported: clusters/list-node-types lists what there is."
        )
    most, least = told.get("max_capacity"), told["min_idle_instances"]
    if most is not None and least > most:
        raise InvalidParameter(f"min_idle_instances {least} is above max_capacity {most}.")
    for version in told.get("preloaded_spark_versions", []):
        if version not in SPARK_VERSIONS:
            raise InvalidParameter(
                f"Unknown preloaded spark_version {version!r}: clusters/spark-versions lists what there is."
            )
    row = ctx.db.execute("SELECT machines FROM pools WHERE id = ?", (pool_id,)).fetchone()
    machines = _machines(told, row["machines"]) if row else Machines(_settings(told), LIVE.launch, ctx.now)
    machines.advance(ctx.now)
    _keep(ctx, pool_id, told, machines)


def _read(ctx: Context, pool_id: str) -> tuple[dict[str, Any], Machines]:
    row = ctx.db.execute("SELECT * FROM pools WHERE id = ?", (pool_id,)).fetchone()
    if row is None:
        raise NotFound(f"There is no instance pool with the id {pool_id!r}.")
    told = json.loads(row["told"])
    return told, _machines(told, row["machines"])


def _machines(told: dict[str, Any], kept: str) -> Machines:
    return Machines(_settings(told), LIVE.launch, **json.loads(kept))


def _settings(told: dict[str, Any]) -> Settings:
    return Settings(
        told["min_idle_instances"], told.get("max_capacity"), told["idle_instance_autotermination_minutes"]
    )


def _keep(ctx: Context, pool_id: str, told: dict[str, Any], machines: Machines) -> None:
    kept = {
        name: value
        for name, value in asdict(machines).items()
        if name not in ("settings", "launch", "spells")
    }
    try:
        ctx.db.execute(
            "INSERT INTO pools VALUES (?, ?, ?, ?, ?) ON CONFLICT (id)"
            " DO UPDATE SET name = excluded.name, told = excluded.told, machines = excluded.machines, due = excluded.due",
            (pool_id, told["instance_pool_name"], json.dumps(told), json.dumps(kept), machines.due()),
        )
    except sqlite3.IntegrityError:
        raise AlreadyExists(
            f"There is an instance pool named {told['instance_pool_name']!r} already."
        ) from None


def _shown(ctx: Context, pool_id: str) -> dict[str, Any]:
    told, machines = _read(ctx, pool_id)
    arriving = len(machines.arriving)
    return {
        **told,
        "instance_pool_id": pool_id,
        "state": "ACTIVE",
        "stats": {
            "used_count": machines.used - arriving,
            "idle_count": len(machines.idle),
            "pending_used_count": arriving,
            "pending_idle_count": len(machines.coming),
        },
        "status": {},
        "default_tags": {"Vendor": "Databricks", "DatabricksInstancePoolId": pool_id},
    }


def _create(ctx: Context, wanted: Told) -> dict[str, Any]:
    if not identity.entitled(ctx, "allow-instance-pool-create"):
        raise PermissionDenied(
            f"{ctx.caller.user_name} may not create instance pools: that needs the entitlement allow-instance-pool-create."
        )
    pool_id = f"pool-{store.next_id(ctx.db, 'pool'):06d}"
    keep_told(ctx, pool_id, wanted.model_dump(exclude_none=True))
    permissions.grant_owner(ctx, OBJECT, pool_id)
    return {"instance_pool_id": pool_id}


def _edit(ctx: Context, wanted: Edited) -> None:
    old = told_of(ctx, wanted.instance_pool_id)
    permissions.require(ctx, OBJECT, wanted.instance_pool_id, "CAN_MANAGE")
    if wanted.node_type_id != old["node_type_id"]:
        raise InvalidParameter(
            f"A pool's node type can't be edited (is {old['node_type_id']}, and {wanted.node_type_id!r} is asked for)."
        )
    kept = {name: value for name, value in old.items() if name not in Editable.model_fields}
    told = wanted.model_dump(exclude_none=True, exclude={"instance_pool_id"})
    keep_told(ctx, wanted.instance_pool_id, {**kept, **told})


def _delete(ctx: Context, wanted: Which) -> None:
    """Idle machines end; clusters that run keep theirs until they stop, as on Databricks."""
    told_of(ctx, wanted.instance_pool_id)
    permissions.require(ctx, OBJECT, wanted.instance_pool_id, "CAN_MANAGE")
    ctx.db.execute("DELETE FROM pools WHERE id = ?", (wanted.instance_pool_id,))
    permissions.forget(ctx, OBJECT, wanted.instance_pool_id)


def _get(ctx: Context, wanted: Which) -> dict[str, Any]:
    shown = _shown(ctx, wanted.instance_pool_id)
    permissions.require(ctx, OBJECT, wanted.instance_pool_id, "CAN_ATTACH_TO")
    return shown


def _list(ctx: Context, _: Model) -> dict[str, Any]:
    ids = [id for (id,) in ctx.db.execute("SELECT id FROM pools ORDER BY rowid")]
    return {
        "instance_pools": [
            _shown(ctx, id) for id in ids if permissions.allowed(ctx, OBJECT, id, "CAN_ATTACH_TO")
        ]
    }


permissions.register(
    OBJECT,
    ["CAN_ATTACH_TO", "CAN_MANAGE"],
    lambda ctx, id: ctx.db.execute("SELECT 1 FROM pools WHERE id = ?", (id,)).fetchone() is not None,
)

PATH = "/api/2.0/instance-pools"
ENDPOINTS = (
    Endpoint("POST", f"{PATH}/create", _create, Told, ("instancePools", "create")),
    Endpoint("POST", f"{PATH}/edit", _edit, Edited, ("instancePools", "edit")),
    Endpoint("POST", f"{PATH}/delete", _delete, Which, ("instancePools", "delete")),
    Endpoint("GET", f"{PATH}/get", _get, Which),
    Endpoint("GET", f"{PATH}/list", _list),
)
