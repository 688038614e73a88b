"""SCIM 2.0 on users, groups and service principals: anybody may look, admins change."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.endpoints import Endpoint, Model, Name, Text, validated
from labs_lib.workspace.ground.errors import InvalidParameter
from labs_lib.workspace.identity import principals
from labs_lib.workspace.identity.patch import Operation, patched, selecting
from labs_lib.workspace.identity.principals import Kind, Principal

BASE = "/api/2.0/preview/scim/v2"
LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
PAGE = 10_000  # as on Databricks: the largest count, and what is given without one
SCHEMAS = {
    "User": "urn:ietf:params:scim:schemas:core:2.0:User",
    "Group": "urn:ietf:params:scim:schemas:core:2.0:Group",
    "ServicePrincipal": "urn:ietf:params:scim:schemas:core:2.0:ServicePrincipal",
}
Address = Annotated[
    str,
    StringConstraints(
        pattern=r"""^[^\s\x00-\x1f\x7f'"`\\/@]+@[^\s\x00-\x1f\x7f'"`\\/@]+$""",
        max_length=255,
        strip_whitespace=True,
    ),
]
# A person's name may hold an apostrophe.
Person = Annotated[
    str, StringConstraints(pattern=r"""^[^\x00-\x1f\x7f-\x9f"`\\]+$""", max_length=255, strip_whitespace=True)
]
Uuid = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", to_lower=True)
]


class Value(Model):
    """An entry of a list such as members, entitlements or emails."""

    value: Text
    display: Text | None = None
    type: Text | None = None
    primary: bool | None = None


class Names(Model):
    givenName: Person | None = None
    familyName: Person | None = None


class Common(Model):
    """What may be said of any of them."""

    id: str | None = None
    displayName: Name | None = None
    externalId: Text | None = None
    entitlements: list[Value] = []
    roles: list[Value] = []


class User(Common):
    userName: Address
    displayName: Person | None = None
    active: bool = True
    name: Names | None = None
    emails: list[Value] = []


class Group(Common):
    displayName: Name
    members: list[Value] = []


class ServicePrincipal(Common):
    displayName: Name
    applicationId: Uuid = Field(default_factory=lambda: str(uuid.uuid4()))
    active: bool = True


class Which(Model):
    id: str


class Patching(Model):
    id: str
    Operations: list[Operation]


class Listing(Model):
    filter: str | None = None
    startIndex: Annotated[int, Field(ge=1)] = 1
    count: Annotated[int, Field(ge=0)] = PAGE
    attributes: str | None = None


MODELS: dict[Kind, type[Common]] = {"User": User, "Group": Group, "ServicePrincipal": ServicePrincipal}
NAMES: dict[Kind, str] = {"User": "userName", "Group": "displayName", "ServicePrincipal": "applicationId"}


def shown(ctx: Context, found: Principal) -> dict[str, Any]:
    """A principal in SCIM's words."""
    answer: dict[str, Any] = {
        "schemas": [SCHEMAS[found.kind]],
        "id": found.id,
        **found.body,
        NAMES[found.kind]: found.name,
        "groups": [
            {"value": group.id, "display": group.name, "type": "direct", "$ref": f"Groups/{group.id}"}
            for group in principals.direct_groups(ctx.db, found)
        ],
    }
    if found.kind == "Group":
        answer["members"] = [
            {
                "value": each.id,
                "display": each.body.get("displayName") or each.name,
                "$ref": f"{each.kind}s/{each.id}",
            }
            for each in principals.direct_members(ctx.db, found)
        ]
        answer["meta"] = {"resourceType": "WorkspaceGroup"}
    else:
        answer["active"] = found.active
    if found.kind == "User":
        answer.setdefault("displayName", found.name)
        answer.setdefault("emails", [{"value": found.name, "type": "work", "primary": True}])
    return answer


def create(ctx: Context, kind: Kind, wanted: Common) -> Principal:
    """A new principal as told. Raises AlreadyExists, InvalidParameter."""
    found = principals.add(ctx.db, kind, getattr(wanted, NAMES[kind]))
    write(ctx, found, wanted)
    return found


def write(ctx: Context, found: Principal, wanted: Common) -> None:
    """Have a principal be as told. A user's address and a service principal's application id stay what they are."""
    told = wanted.model_dump(exclude_none=True, exclude_unset=True)
    name = getattr(wanted, NAMES[found.kind])
    if found.kind != "Group" and name.lower() != found.name.lower():
        raise InvalidParameter(
            f"{NAMES[found.kind]} of {found.name} can't become {name!r}: it stays what it was made with."
        )
    if (
        name != found.name
        and found.kind == "Group"
        and found.name in (principals.ADMINS, principals.EVERYBODY)
    ):
        raise InvalidParameter(f"The group {found.name!r} belongs to the workspace and can't be renamed.")
    members = told.pop("members", None)
    found.name = name
    found.active = told.pop("active", True)
    found.body = {key: value for key, value in told.items() if key not in ("id", NAMES[found.kind])}
    principals.save(ctx.db, found)
    if members is not None and found.name != principals.EVERYBODY:
        principals.set_members(ctx.db, found, [each["value"] for each in members])


def _create(kind: Kind, ctx: Context, wanted: Common) -> dict[str, Any]:
    principals.require_admin(ctx, f"creates {principals.WORDS[kind]}s")
    return shown(ctx, create(ctx, kind, wanted))


def _get(kind: Kind, ctx: Context, wanted: Which) -> dict[str, Any]:
    return shown(ctx, principals.get(ctx.db, kind, wanted.id))


def _list(kind: Kind, ctx: Context, wanted: Listing) -> dict[str, Any]:
    found = [shown(ctx, each) for each in principals.every(ctx.db, kind)]
    if wanted.filter:
        found = list(filter(selecting(wanted.filter), found))
    part = found[wanted.startIndex - 1 :][: min(wanted.count, PAGE)]
    return {
        "schemas": [LIST],
        "totalResults": len(found),
        "startIndex": wanted.startIndex,
        "itemsPerPage": len(part),
        "Resources": [_picked(each, wanted.attributes) for each in part],
    }


def _replace(kind: Kind, ctx: Context, wanted: Common) -> dict[str, Any]:
    principals.require_admin(ctx, f"changes {principals.WORDS[kind]}s")
    found = principals.get(ctx.db, kind, wanted.id or "")
    if kind == "Group" and "members" not in wanted.model_fields_set and found.name != principals.EVERYBODY:
        principals.set_members(ctx.db, found, [])
    write(ctx, found, wanted)
    return shown(ctx, found)


def _patch(kind: Kind, ctx: Context, wanted: Patching) -> dict[str, Any]:
    principals.require_admin(ctx, f"changes {principals.WORDS[kind]}s")
    found = principals.get(ctx.db, kind, wanted.id)
    before = shown(ctx, found)
    after = patched(before, wanted.Operations)
    if kind == "Group" and found.name == principals.EVERYBODY and after["members"] != before["members"]:
        raise InvalidParameter(f"Everybody is in the group {found.name!r}; its members can't be changed.")
    model = validated(
        MODELS[kind], {key: value for key, value in after.items() if key not in ("groups", "schemas", "meta")}
    )
    write(ctx, found, model)
    return shown(ctx, found)


def _delete(kind: Kind, ctx: Context, wanted: Which) -> None:
    principals.require_admin(ctx, f"deletes {principals.WORDS[kind]}s")
    principals.remove(ctx.db, principals.get(ctx.db, kind, wanted.id))


def _me(ctx: Context, _: Model) -> dict[str, Any]:
    found = principals.known(ctx, ctx.caller.user_name)
    return shown(ctx, found) | {"userName": found.name}  # of a service principal too, as on Databricks


def _picked(answer: dict[str, Any], attributes: str | None) -> dict[str, Any]:
    if not attributes:
        return answer
    kept = {name.strip().partition(".")[0] for name in attributes.split(",")} | {"id", "schemas"}
    return {key: value for key, value in answer.items() if key in kept}


def _of(kind: Kind) -> tuple[Endpoint, ...]:
    def bound(handle: Callable[..., Any]) -> Callable[..., Any]:
        return partial(handle, kind)

    def changing(handle: Callable[..., Any]) -> Callable[..., Any]:
        def handled(ctx: Context, wanted: Any) -> Any:
            answer = handle(kind, ctx, wanted)
            principals.require_the_learner(ctx.db)
            return answer

        return handled

    path = f"{BASE}/{kind}s"
    return (
        Endpoint("GET", path, bound(_list), Listing),
        Endpoint(
            "POST",
            path,
            changing(_create),
            MODELS[kind],
            ("accounts", "createGroup" if kind == "Group" else f"add{kind}"),
        ),
        Endpoint("GET", f"{path}/{{id}}", bound(_get), Which),
        Endpoint("PUT", f"{path}/{{id}}", changing(_replace), MODELS[kind], ("accounts", f"update{kind}")),
        Endpoint("PATCH", f"{path}/{{id}}", changing(_patch), Patching, ("accounts", f"update{kind}")),
        Endpoint("DELETE", f"{path}/{{id}}", changing(_delete), Which, ("accounts", f"remove{kind}")),
    )


ENDPOINTS = (*_of("User"), *_of("Group"), *_of("ServicePrincipal"), Endpoint("GET", f"{BASE}/Me", _me))
