"""SQL warehouses: what statements are sent to. Here all of them are the one door; what counts is who may use which."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict, Field

from labs_lib.workspace import identity, permissions
from labs_lib.workspace.ground import store
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.endpoints import Endpoint, Model, Name, validated
from labs_lib.workspace.ground.errors import AlreadyExists, InvalidParameter, NotFound
from labs_lib.workspace.permissions.lists import put

KIND = "warehouse"
OBJECT = "warehouses"
API = "/api/2.0/sql/warehouses"
STARTER = "Starter Warehouse"


class New(Model):
    name: Name
    cluster_size: str = Field(default="2X-Small", max_length=20)
    auto_stop_mins: int = Field(default=120, ge=0, le=10_000)
    max_num_clusters: int = Field(default=1, ge=1, le=30)


class One(Model):
    id: str


def exists(ctx: Context, id: str) -> bool:
    return store.get(ctx.db, KIND, id) is not None


permissions.register(OBJECT, ("CAN_VIEW", "CAN_USE", "CAN_MONITOR", "CAN_MANAGE", "IS_OWNER"), exists)


def prepare(ctx: Context) -> None:
    """Have one warehouse, which all users may use."""
    if not store.every(ctx.db, KIND):
        id = _make(ctx, New(name=STARTER))
        put(ctx, OBJECT, id, identity.the(ctx.db, "Group", "users").id, "CAN_USE")


def require(ctx: Context, id: str, level: str) -> dict[str, Any]:
    """The warehouse of that id. Raises NotFound, or PermissionDenied if the caller has less than that level on it."""
    found = store.get(ctx.db, KIND, id)
    if found is None:
        raise NotFound(f"SQL warehouse '{id}' does not exist.")
    permissions.require(ctx, OBJECT, id, level)
    return found


def _make(ctx: Context, wanted: New) -> str:
    if store.find(ctx.db, KIND, wanted.name):
        raise AlreadyExists(f"SQL warehouse with name '{wanted.name}' already exists.")
    id = secrets.token_hex(8)
    body = {"id": id, **wanted.model_dump(), "creator_name": ctx.caller.user_name, "state": "RUNNING"}
    store.put(ctx.db, KIND, id, body, wanted.name)
    return id


def _create(ctx: Context, wanted: New) -> Mapping[str, Any]:
    id = _make(ctx, wanted)
    permissions.grant_owner(ctx, OBJECT, id)
    return {"id": id}


def _list(ctx: Context, _: Model) -> Mapping[str, Any]:
    return {
        "warehouses": [
            body for id, body in store.every(ctx.db, KIND) if permissions.allowed(ctx, OBJECT, id, "CAN_VIEW")
        ]
    }


def _get(ctx: Context, wanted: One) -> Mapping[str, Any]:
    return require(ctx, wanted.id, "CAN_VIEW")


def _state(state: str) -> Any:
    def change(ctx: Context, wanted: One) -> Mapping[str, Any]:
        body = require(ctx, wanted.id, "CAN_USE" if state == "RUNNING" else "CAN_MANAGE")
        store.put(ctx.db, KIND, wanted.id, body | {"state": state}, body["name"])
        return {}

    return change


class Edit(One):
    name: Name | None = None
    cluster_size: str | None = Field(default=None, max_length=20)
    auto_stop_mins: int | None = Field(default=None, ge=0, le=10_000)
    max_num_clusters: int | None = Field(default=None, ge=1, le=30)


def _edit(ctx: Context, wanted: Edit) -> Mapping[str, Any]:
    body = require(ctx, wanted.id, "CAN_MANAGE") | wanted.model_dump(exclude_none=True)
    found = store.find(ctx.db, KIND, body["name"])
    if found and found[0] != wanted.id:
        raise AlreadyExists(f"SQL warehouse with name '{wanted.name}' already exists.")
    store.put(ctx.db, KIND, wanted.id, body, body["name"])
    return {}


def _delete(ctx: Context, wanted: One) -> Mapping[str, Any]:
    require(ctx, wanted.id, "CAN_MANAGE")
    store.remove(ctx.db, KIND, wanted.id)
    permissions.forget(ctx, OBJECT, wanted.id)
    return {}


class Declared(New):
    model_config = ConfigDict(extra="forbid")
    id: str = Field(pattern=r"^[0-9a-f]{16}$")
    creator_name: str = Field(default="", max_length=255)
    state: Literal["RUNNING", "STOPPED"] = "RUNNING"


class State(Model):
    model_config = ConfigDict(extra="forbid")
    warehouses: list[Declared] = Field(default_factory=list, max_length=1000)


def export(ctx: Context) -> dict[str, Any]:
    """The warehouses; permissions on them are exported with the others, by these ids."""
    return {"warehouses": [body for _, body in store.every(ctx.db, KIND)]}


def load(ctx: Context, state: dict[str, Any]) -> None:
    """Have exactly these. Raises InvalidParameter."""
    told = validated(State, state)
    assert isinstance(told, State)
    for what in ("id", "name"):
        if len({getattr(each, what) for each in told.warehouses}) < len(told.warehouses):
            raise InvalidParameter(f"Two warehouses have the same {what}.")
    for id, _ in store.every(ctx.db, KIND):
        if id not in {each.id for each in told.warehouses}:
            permissions.forget(ctx, OBJECT, id)
    store.clear(ctx.db, KIND)
    for each in told.warehouses:
        store.put(ctx.db, KIND, each.id, each.model_dump(), each.name)


ENDPOINTS = (
    Endpoint("GET", API, _list),
    Endpoint("POST", API, _create, New, ("databrickssql", "createEndpoint")),
    Endpoint("GET", f"{API}/{{id}}", _get, One),
    Endpoint("DELETE", f"{API}/{{id}}", _delete, One, ("databrickssql", "deleteEndpoint")),
    Endpoint("POST", f"{API}/{{id}}/edit", _edit, Edit, ("databrickssql", "editEndpoint")),
    Endpoint("POST", f"{API}/{{id}}/start", _state("RUNNING"), One, ("databrickssql", "startEndpoint")),
    Endpoint("POST", f"{API}/{{id}}/stop", _state("STOPPED"), One, ("databrickssql", "stopEndpoint")),
)
