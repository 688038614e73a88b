"""The declared identities as data: who there is, and who is in which group. Tokens are no part of it."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict

from labs_lib.workspace import store
from labs_lib.workspace.context import Context
from labs_lib.workspace.endpoints import Model, validated
from labs_lib.workspace.errors import InvalidParameter
from labs_lib.workspace.identity import principals, scim
from labs_lib.workspace.identity.principals import Kind

SECTIONS: dict[str, Kind] = {"users": "User", "service_principals": "ServicePrincipal", "groups": "Group"}
MOST = 2000  # of a kind


class UserState(scim.User):
    model_config = ConfigDict(extra="forbid")


class ServicePrincipalState(scim.ServicePrincipal):
    model_config = ConfigDict(extra="forbid")
    applicationId: scim.Uuid


class GroupState(scim.Group):
    """Members are named by kind and name, so that a person can write it."""

    model_config = ConfigDict(extra="forbid")
    members: list[scim.Value] = []


class State(Model):
    model_config = ConfigDict(extra="forbid")
    users: list[UserState] = []
    service_principals: list[ServicePrincipalState] = []
    groups: list[GroupState] = []


def export(ctx: Context) -> dict[str, Any]:
    """Users, service principals and groups; ids go with them, as other state names them by id."""
    return {
        section: [_plain(ctx, each) for each in principals.every(ctx.db, kind)]
        for section, kind in SECTIONS.items()
    }


def _plain(ctx: Context, found: principals.Principal) -> dict[str, Any]:
    told = {"id": found.id, **found.body, scim.NAMES[found.kind]: found.name}
    if found.kind != "Group":
        return told | {"active": found.active}
    if found.name == principals.EVERYBODY:
        return told
    return told | {"members": [{"value": each.name} for each in principals.direct_members(ctx.db, found)]}


def load(ctx: Context, state: dict[str, Any]) -> None:
    """Have exactly these identities beside the learner and the workspace's own groups. Members are named by name, not by id.

    Raises InvalidParameter or AlreadyExists, which name what is wrong.
    """
    told = validated(State, state)
    assert isinstance(told, State)
    for section in SECTIONS:
        if len(getattr(told, section)) > MOST:
            raise InvalidParameter(f"{section} holds {len(getattr(told, section))}; {MOST} are the most.")
    kept = {principals.LEARNER, principals.ADMINS, principals.EVERYBODY}
    marks = ", ".join("?" * len(kept))
    ctx.db.execute(f"DELETE FROM principals WHERE name NOT IN ({marks})", tuple(kept))
    ctx.db.execute("DELETE FROM members")
    known: dict[str, str] = {}
    for section, kind in SECTIONS.items():
        for each in getattr(told, section):
            name = getattr(each, scim.NAMES[kind])
            found = (
                principals.find(ctx.db, kind, name) if name in kept else principals.add(ctx.db, kind, name)
            )
            assert found is not None
            found = _with_id(ctx, found, each.id) if name not in kept else found
            if name.lower() in known:
                raise InvalidParameter(
                    f"{section} and another section both name {name!r}; a name is one principal's."
                )
            known[name.lower()] = found.id
    learner = principals.find(ctx.db, "User", principals.LEARNER)
    admins = principals.find(ctx.db, "Group", principals.ADMINS)
    assert learner is not None and admins is not None
    known.setdefault(principals.LEARNER, learner.id)
    ctx.db.execute("INSERT INTO members VALUES (?, ?)", (admins.id, learner.id))
    for section, kind in SECTIONS.items():
        for each in getattr(told, section):
            members = getattr(each, "members", [])
            for member in members:
                if member.value.lower() not in known:
                    raise InvalidParameter(
                        f"The group {each.displayName!r} has the member {member.value!r}, which the state doesn't hold."
                    )
                member.value = known[member.value.lower()]
            scim.write(
                ctx, principals.get(ctx.db, kind, known[getattr(each, scim.NAMES[kind]).lower()]), each
            )


def _with_id(ctx: Context, found: principals.Principal, id: str | None) -> principals.Principal:
    if id is None or id == found.id:
        return found
    if not id.isdecimal() or len(id) > 15:
        raise InvalidParameter(f"{found.name} has the id {id!r}; an id is a number of at most 15 digits.")
    if ctx.db.execute("SELECT 1 FROM principals WHERE id = ?", (id,)).fetchone():
        raise InvalidParameter(f"{found.name} has the id {id!r}, which another principal has.")
    ctx.db.execute("UPDATE principals SET id = ? WHERE id = ?", (id, found.id))
    store.reserve_ids(ctx.db, "principal", int(id))
    return principals.get(ctx.db, found.kind, id)
