"""Policies in the store: created, edited and deleted by admins, seen and used by whom they are granted to."""

from __future__ import annotations

import sqlite3
from typing import Annotated, Any, Literal

from pydantic import Field

from labs_lib.workspace import identity, permissions
from labs_lib.workspace.compute.policies.definitions import MalformedPolicy, Policy, parse
from labs_lib.workspace.ground import store
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.endpoints import Endpoint, Model, Name, Text
from labs_lib.workspace.ground.errors import AlreadyExists, InvalidParameter, NotFound

KIND, OBJECT = "cluster-policy", "cluster-policies"
PolicyName = Annotated[Name, Field(min_length=1, max_length=100)]


class Told(Model):
    """What a policy is told to be. Its definition is a JSON text."""

    name: PolicyName
    definition: str
    description: Text | None = None
    max_clusters_per_user: Annotated[int, Field(ge=1, le=100_000)] | None = None


class Which(Model):
    policy_id: str


class Edited(Told, Which):
    pass


class Listing(Model):
    sort_column: Literal["POLICY_CREATION_TIME", "POLICY_NAME"] = "POLICY_CREATION_TIME"
    sort_order: Literal["ASC", "DESC"] = "ASC"


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
    try:
        parse(body["definition"])
        store.put(ctx.db, KIND, body["policy_id"], body, body["name"])
    except MalformedPolicy as error:
        raise InvalidParameter(str(error)) from None
    except sqlite3.IntegrityError:
        raise AlreadyExists(f"There is a cluster policy named {body['name']!r} already.") from None


def _create(ctx: Context, wanted: Told) -> dict[str, Any]:
    identity.require_admin(ctx, "creates cluster policies")
    policy_id = f"{store.next_id(ctx.db, KIND):016X}"
    made = {
        "policy_id": policy_id,
        "creator_user_name": ctx.caller.user_name,
        "created_at_timestamp": ctx.now,
    }
    keep(ctx, {**wanted.model_dump(exclude_none=True), **made})
    return {"policy_id": policy_id}


def _edit(ctx: Context, wanted: Edited) -> None:
    identity.require_admin(ctx, "edits cluster policies")
    old = get(ctx, wanted.policy_id)
    kept = {name: old[name] for name in ("creator_user_name", "created_at_timestamp")}
    keep(ctx, {**kept, **wanted.model_dump(exclude_none=True)})


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


permissions.register(OBJECT, ["CAN_USE"], lambda ctx, id: store.get(ctx.db, KIND, id) is not None)

PATH = "/api/2.0/policies/clusters"
ENDPOINTS = (
    Endpoint("POST", f"{PATH}/create", _create, Told, ("clusterPolicies", "create")),
    Endpoint("POST", f"{PATH}/edit", _edit, Edited, ("clusterPolicies", "edit")),
    Endpoint("POST", f"{PATH}/delete", _delete, Which, ("clusterPolicies", "delete")),
    Endpoint("GET", f"{PATH}/get", _get, Which),
    Endpoint("GET", f"{PATH}/list", _list, Listing),
)
