"""The permissions interface: look at an object's list, set it, add to it."""

from __future__ import annotations

import sqlite3
from typing import Any

from pydantic import model_validator

from labs_lib.workspace import identity
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.endpoints import Endpoint, Model, Strict, validated
from labs_lib.workspace.ground.errors import InvalidParameter
from labs_lib.workspace.identity.principals import Kind
from labs_lib.workspace.permissions import lists
from labs_lib.workspace.permissions.lists import OWNER, Grant

FIELDS: dict[Kind, str] = {
    "User": "user_name",
    "Group": "group_name",
    "ServicePrincipal": "service_principal_name",
}


class Entry(Model):
    """One principal and a level."""

    permission_level: str
    user_name: str | None = None
    group_name: str | None = None
    service_principal_name: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Entry:
        if sum(getattr(self, field) is not None for field in FIELDS.values()) != 1:
            raise ValueError(f"exactly one of {', '.join(FIELDS.values())} has to be given")
        return self

    @property
    def principal(self) -> tuple[Kind, str]:
        return next(
            (kind, name) for kind, field in FIELDS.items() if (name := getattr(self, field)) is not None
        )


class Which(Model):
    object_type: str
    object_id: str


class Change(Which):
    access_control_list: list[Entry] = []


def _get(ctx: Context, wanted: Which) -> dict[str, Any]:
    own = lists.known(ctx, wanted.object_type, wanted.object_id)
    lists.require(ctx, wanted.object_type, wanted.object_id, own.levels[0])
    return shown(ctx, wanted.object_type, wanted.object_id)


def _set(ctx: Context, wanted: Change) -> dict[str, Any]:
    _managed(ctx, wanted)
    owners = [grant for grant in _own(ctx, wanted) if grant.level == OWNER]
    lists.forget(ctx, wanted.object_type, wanted.object_id)
    if not any(entry.permission_level == OWNER for entry in wanted.access_control_list):
        for owner in owners:  # an object keeps its owner unless another is named
            lists.put(ctx, wanted.object_type, wanted.object_id, owner.principal_id, OWNER)
    return _add(ctx, wanted)


def _update(ctx: Context, wanted: Change) -> dict[str, Any]:
    _managed(ctx, wanted)
    return _add(ctx, wanted)


def _managed(ctx: Context, wanted: Change) -> None:
    own = lists.known(ctx, wanted.object_type, wanted.object_id)
    if "CAN_MANAGE" not in own.levels:  # to use a policy isn't to say who else may
        identity.require_admin(ctx, f"says who may use {own.name}")
    lists.require(ctx, wanted.object_type, wanted.object_id, own.manage)


def _add(ctx: Context, wanted: Change) -> dict[str, Any]:
    for entry in wanted.access_control_list:
        principal_id = checked(ctx, wanted.object_type, entry)
        if entry.permission_level == OWNER:
            ctx.db.execute(
                "DELETE FROM grants WHERE object_type = ? AND object_id = ? AND level = ?",
                (wanted.object_type, wanted.object_id, OWNER),
            )
        lists.put(ctx, wanted.object_type, wanted.object_id, principal_id, entry.permission_level)
    if OWNER in lists.type_named(wanted.object_type).levels and not any(
        g.level == OWNER for g in _own(ctx, wanted)
    ):
        raise InvalidParameter(
            f"{wanted.object_type}/{wanted.object_id} would be left without an owner; name one with {OWNER}."
        )
    return shown(ctx, wanted.object_type, wanted.object_id)


def checked(ctx: Context, object_type: str, entry: Entry) -> str:
    """The principal's id. Raises InvalidParameter if the level is none of the type's or a group is to own; NotFound if nobody has the name."""
    own = lists.type_named(object_type)
    kind, name = entry.principal
    if entry.permission_level not in own.levels:
        raise InvalidParameter(
            f"permission_level is {entry.permission_level!r}, which {object_type} don't have; they have {', '.join(own.levels)}."
        )
    if entry.permission_level == OWNER and kind == "Group":
        raise InvalidParameter(
            f"The group {name!r} can't have {OWNER}: an owner is a user or a service principal."
        )
    return identity.the(ctx.db, kind, name).id


def _own(ctx: Context, wanted: Which) -> list[Grant]:
    here = (wanted.object_type, wanted.object_id)
    return [grant for grant in lists.grants(ctx, *here) if grant.at == here]


def shown(ctx: Context, object_type: str, object_id: str) -> dict[str, Any]:
    """An object's list with what is inherited, and from where."""
    entries: dict[tuple[Kind, str], list[dict[str, Any]]] = {}
    for grant in lists.grants(ctx, object_type, object_id):
        permission: dict[str, Any] = {
            "permission_level": grant.level,
            "inherited": grant.at != (object_type, object_id),
        }
        if permission["inherited"]:
            permission["inherited_from_object"] = [f"/{grant.at[0]}/{grant.at[1]}"]
        entries.setdefault((grant.kind, grant.principal), []).append(permission)
    admins = {
        "permission_level": lists.type_named(object_type).manage,
        "inherited": True,
        "inherited_from_object": [f"/{object_type}/"],
    }
    entries.setdefault(("Group", "admins"), []).append(admins)
    return {
        "object_id": f"/{object_type}/{object_id}",
        "object_type": object_type.rstrip("s"),
        "access_control_list": [
            {FIELDS[kind]: name, "all_permissions": held} for (kind, name), held in entries.items()
        ],
    }


class GrantState(Entry, Strict):
    object_type: str
    object_id: str


class State(Strict):
    grants: list[GrantState] = []


def export(ctx: Context) -> dict[str, Any]:
    """All entries of all objects that are declared: a run's own job, or a job's cluster, is history."""
    return {
        "grants": [
            {
                "object_type": row["object_type"],
                "object_id": row["object_id"],
                FIELDS[row["kind"]]: row["name"],
                "permission_level": row["level"],
            }
            for row in _rows(ctx)
            if lists.type_named(row["object_type"]).declared(ctx, row["object_id"])
        ]
    }


def _rows(ctx: Context) -> list[sqlite3.Row]:
    return ctx.db.execute(f"{lists.NAMED} ORDER BY object_type, object_id, kind, name").fetchall()


def load(ctx: Context, state: dict[str, Any]) -> None:
    """Have exactly these entries; the objects are loaded before. Raises InvalidParameter, NotFound."""
    told = validated(State, state)
    ctx.db.execute("DELETE FROM grants")
    for each in told.grants:
        lists.known(ctx, each.object_type, each.object_id)
        principal_id = checked(ctx, each.object_type, each)
        lists.put(ctx, each.object_type, each.object_id, principal_id, each.permission_level)


PATH = "/api/2.0/permissions/{object_type}/{object_id}"
CHANGED = ("accounts", "changePermissions")
ENDPOINTS = (
    Endpoint("GET", PATH, _get, Which),
    Endpoint("PUT", PATH, _set, Change, CHANGED),
    Endpoint("PATCH", PATH, _update, Change, CHANGED),
)
