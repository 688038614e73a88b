"""Policies in the store: created, edited and deleted by admins, seen and used by whom they are granted to; and the families they may inherit from."""

from __future__ import annotations

import json
import sqlite3
from typing import Annotated, Any, Literal

from pydantic import Field

from labs_lib.workspace import identity, permissions
from labs_lib.workspace.compute.catalogue import FAMILIES
from labs_lib.workspace.compute.policies.definitions import MalformedPolicy, Policy, parse, with_overrides
from labs_lib.workspace.ground import store
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.endpoints import Endpoint, Model, Name, Text
from labs_lib.workspace.ground.errors import AlreadyExists, InvalidParameter, NotFound

KIND, OBJECT = "cluster-policy", "cluster-policies"
PolicyName = Annotated[Name, Field(min_length=1, max_length=100)]


class Told(Model):
    """What a policy is told to be. Its definition is a JSON text, or a family's with overrides."""

    name: PolicyName | None = None
    definition: str | None = None
    description: Text | None = None
    max_clusters_per_user: Annotated[int, Field(ge=1, le=100_000)] | None = None
    policy_family_id: str | None = None
    policy_family_definition_overrides: str | None = None


class Which(Model):
    policy_id: str


class Edited(Told, Which):
    pass


class Listing(Model):
    sort_column: Literal["POLICY_CREATION_TIME", "POLICY_NAME"] = "POLICY_CREATION_TIME"
    sort_order: Literal["ASC", "DESC"] = "ASC"


class Family(Model):
    policy_family_id: str
    version: int | None = None


def get(ctx: Context, policy_id: str) -> dict[str, Any]:
    """A policy as it is stored. Raises NotFound."""
    found = store.get(ctx.db, KIND, policy_id)
    if found is None:
        raise NotFound(f"There is no cluster policy with the id {policy_id!r}.")
    return found


def rules_of(policy: dict[str, Any]) -> Policy:
    """A stored policy's rules; its definition was found to be sound when it was stored."""
    return parse(policy["definition"])


def keep(ctx: Context, body: dict[str, Any]) -> None:
    """Store a policy. Raises InvalidParameter if its definition isn't sound, AlreadyExists if another has its name."""
    body["definition"] = _definition(body)
    try:
        store.put(ctx.db, KIND, body["policy_id"], body, body["name"])
    except sqlite3.IntegrityError:
        raise AlreadyExists(f"There is a cluster policy named {body['name']!r} already.") from None


def _definition(body: dict[str, Any]) -> str:
    family, overrides = body.get("policy_family_id"), body.get("policy_family_definition_overrides")
    try:
        if family is None:
            if overrides is not None:
                raise InvalidParameter("policy_family_definition_overrides needs policy_family_id beside it.")
            if body.get("definition") is None:
                raise InvalidParameter(
                    "A policy needs a definition, or a policy_family_id to inherit one from."
                )
            definition: str = body["definition"]
        elif family not in FAMILIES:
            raise InvalidParameter(f"There is no policy family {family!r}; there are {', '.join(FAMILIES)}.")
        else:
            definition = with_overrides(family, overrides)
        parse(definition)
    except MalformedPolicy as error:
        raise InvalidParameter(str(error)) from None
    return definition


def _told(wanted: Told) -> dict[str, Any]:
    if wanted.policy_family_id is not None and wanted.definition is not None:
        raise InvalidParameter(
            "definition cannot be used with policy_family_id; use policy_family_definition_overrides."
        )
    return wanted.model_dump(exclude_none=True, include=set(Told.model_fields))


def _create(ctx: Context, wanted: Told) -> dict[str, Any]:
    identity.require_admin(ctx, "creates cluster policies")
    told = _told(wanted)
    if "name" not in told:
        raise InvalidParameter("name is missing; the request has to give it.")
    policy_id = f"{store.next_id(ctx.db, KIND):016X}"
    keep(
        ctx,
        {
            **told,
            "policy_id": policy_id,
            "creator_user_name": ctx.caller.user_name,
            "created_at_timestamp": ctx.now,
        },
    )
    return {"policy_id": policy_id}


def _edit(ctx: Context, wanted: Edited) -> None:
    identity.require_admin(ctx, "edits cluster policies")
    old = get(ctx, wanted.policy_id)
    kept = {name: old[name] for name in ("policy_id", "name", "creator_user_name", "created_at_timestamp")}
    keep(ctx, {**kept, **_told(wanted)})


def _delete(ctx: Context, wanted: Which) -> None:
    identity.require_admin(ctx, "deletes cluster policies")
    get(ctx, wanted.policy_id)
    store.remove(ctx.db, KIND, wanted.policy_id)
    permissions.forget(ctx, OBJECT, wanted.policy_id)


def _get(ctx: Context, wanted: Which) -> dict[str, Any]:
    found = get(ctx, wanted.policy_id)
    permissions.require(ctx, OBJECT, wanted.policy_id, "CAN_USE")
    return {**found, "is_default": False}


def _list(ctx: Context, wanted: Listing) -> dict[str, Any]:
    seen = [body for id, body in store.every(ctx.db, KIND) if permissions.allowed(ctx, OBJECT, id, "CAN_USE")]
    column = "name" if wanted.sort_column == "POLICY_NAME" else "created_at_timestamp"
    seen.sort(key=lambda body: (body[column], body["policy_id"]), reverse=wanted.sort_order == "DESC")
    return {"policies": seen, "total_count": len(seen)}


def _families(ctx: Context, _: Model) -> dict[str, Any]:
    return {"policy_families": [_family(ctx, Family(policy_family_id=id)) for id in FAMILIES]}


def _family(ctx: Context, wanted: Family) -> dict[str, Any]:
    if wanted.policy_family_id not in FAMILIES:
        raise NotFound(
            f"There is no policy family {wanted.policy_family_id!r}; there are {', '.join(FAMILIES)}."
        )
    found = FAMILIES[wanted.policy_family_id]
    return {
        "policy_family_id": wanted.policy_family_id,
        "name": found["name"],
        "description": found["description"],
        "definition": json.dumps(found["definition"]),
    }


permissions.register(OBJECT, ["CAN_USE"], lambda ctx, id: store.get(ctx.db, KIND, id) is not None)

PATH = "/api/2.0/policies/clusters"
ENDPOINTS = (
    Endpoint("POST", f"{PATH}/create", _create, Told, ("clusterPolicies", "create")),
    Endpoint("POST", f"{PATH}/edit", _edit, Edited, ("clusterPolicies", "edit")),
    Endpoint("POST", f"{PATH}/delete", _delete, Which, ("clusterPolicies", "delete")),
    Endpoint("GET", f"{PATH}/get", _get, Which),
    Endpoint("GET", f"{PATH}/list", _list, Listing),
    Endpoint("GET", "/api/2.0/policy-families", _families),
    Endpoint("GET", "/api/2.0/policy-families/{policy_family_id}", _family, Family),
)
