"""The SQL warehouse: what statements are sent to. There is one, which is the door; what counts is who may use it."""

from __future__ import annotations

from typing import Any

from labs_lib.workspace import identity, permissions
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.endpoints import Endpoint, Model
from labs_lib.workspace.ground.errors import NotFound
from labs_lib.workspace.permissions import lists

OBJECT = "warehouses"
ID = "5ba7e40000000001"  # the same in each workspace, since jobs name it
_SHOWN = {
    "id": ID,
    "name": "Starter Warehouse",
    "cluster_size": "2X-Small",
    "auto_stop_mins": 120,
    "state": "RUNNING",
}
LEVELS = ("CAN_VIEW", "CAN_USE", "CAN_MONITOR", "CAN_MANAGE", "IS_OWNER")

permissions.register(OBJECT, LEVELS, lambda ctx, id: id == ID)


class One(Model):
    id: str


def prepare(ctx: Context) -> None:
    """Let all users use it in a new workspace."""
    if not list(lists.grants(ctx, OBJECT, ID)):
        permissions.grant_owner(ctx, OBJECT, ID, identity.LEARNER)
        lists.put(ctx, OBJECT, ID, identity.the(ctx.db, "Group", "users").id, "CAN_USE")


def require(ctx: Context, id: str, level: str) -> None:
    """Raises NotFound, or PermissionDenied if the caller has less than that level on it."""
    if id != ID:
        raise NotFound(f"SQL warehouse '{id}' does not exist; this workspace has one, {ID}.")
    permissions.require(ctx, OBJECT, id, level)


def _list(ctx: Context, _: Model) -> dict[str, Any]:
    return {"warehouses": [_SHOWN] if permissions.allowed(ctx, OBJECT, ID, "CAN_VIEW") else []}


def _get(ctx: Context, wanted: One) -> dict[str, Any]:
    require(ctx, wanted.id, "CAN_VIEW")
    return _SHOWN


ENDPOINTS = (
    Endpoint("GET", "/api/2.0/sql/warehouses", _list),
    Endpoint("GET", "/api/2.0/sql/warehouses/{id}", _get, One),
)
