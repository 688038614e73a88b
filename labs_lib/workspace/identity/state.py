"""The declared identities as data: who there is, and who is in which group. Tokens are no part of it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from labs_lib.workspace.ground import store
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.endpoints import Strict, validated
from labs_lib.workspace.ground.errors import InvalidParameter
from labs_lib.workspace.identity import principals, scim
from labs_lib.workspace.identity.principals import Kind

SECTIONS: dict[str, Kind] = {"users": "User", "service_principals": "ServicePrincipal", "groups": "Group"}
MOST = 2000  # of a kind


class UserState(scim.User, Strict):
    pass


class ServicePrincipalState(scim.ServicePrincipal, Strict):
    applicationId: scim.Uuid


class GroupState(scim.Group, Strict):
    """Members are named by name, so that a person can write it."""


class State(Strict):
    users: Annotated[list[UserState], Field(max_length=MOST)] = []
    service_principals: Annotated[list[ServicePrincipalState], Field(max_length=MOST)] = []
    groups: Annotated[list[GroupState], Field(max_length=MOST)] = []


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
    known: dict[str, str] = {principals.LEARNER: principals.the(ctx.db, "User", principals.LEARNER).id}
    own = {principals.LEARNER, principals.ADMINS, principals.EVERYBODY}
    ctx.db.execute("DELETE FROM members")
    principals.set_members(
        ctx.db, principals.the(ctx.db, "Group", principals.ADMINS), [known[principals.LEARNER]]
    )
    for section, kind in SECTIONS.items():
        named = {getattr(each, scim.NAMES[kind]).lower(): each for each in getattr(told, section)}
        if len(named) < len(getattr(told, section)):
            raise InvalidParameter(f"{section} names one of them twice; a name is one principal's.")
        for found in principals.every(ctx.db, kind):
            stays = named.get(found.name.lower())
            if found.name not in own and (stays is None or stays.id not in (None, found.id)):
                ctx.db.execute("DELETE FROM principals WHERE id = ?", (found.id,))
        for name, each in named.items():
            if name in known and name != principals.LEARNER:
                raise InvalidParameter(
                    f"{section} and another section both name {name!r}; a name is one principal's."
                )
            found = principals.find(ctx.db, kind, name) or _added(
                ctx, kind, getattr(each, scim.NAMES[kind]), each.id
            )
            known[name] = found.id
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
    principals.require_the_learner(ctx.db)


def _added(ctx: Context, kind: Kind, name: str, id: str | None) -> principals.Principal:
    found = principals.add(ctx.db, kind, name)
    if id is None:
        return found
    if not id.isdecimal() or len(id) > 15:
        raise InvalidParameter(f"{name} has the id {id!r}; an id is a number of at most 15 digits.")
    if ctx.db.execute("SELECT 1 FROM principals WHERE id = ? AND id <> ?", (id, found.id)).fetchone():
        raise InvalidParameter(f"{name} has the id {id!r}, which another principal has.")
    ctx.db.execute("UPDATE principals SET id = ? WHERE id = ?", (id, found.id))
    store.reserve_ids(ctx.db, "principal", int(id))
    return principals.get(ctx.db, kind, id)
