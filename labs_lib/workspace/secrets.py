"""Secret scopes: who may read, write and manage them; values are sealed at rest by a key that is kept outside the store.

Source: docs.databricks.com, "Secrets API 2.0" and "Secret ACLs": READ reads values and lists keys, WRITE also puts and deletes, MANAGE
also changes the list of who may; whoever makes a scope manages it, and admins manage every one. No list ever shows a value.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal, get_args

from pydantic import StringConstraints

from labs_lib.workspace import identity
from labs_lib.workspace.ground import store, vault
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.endpoints import Endpoint, Model, Strict, validated
from labs_lib.workspace.ground.errors import (
    AlreadyExists,
    InvalidParameter,
    MalformedRequest,
    NotFound,
    PermissionDenied,
)
from labs_lib.workspace.identity import principals

SCHEMA = ""
KIND = "secret-scope"  # a document of who may what, and of the keys with their sealed values
BYTES = 128 * 1024  # of a value at most, as published
Permission = Literal["READ", "WRITE", "MANAGE"]
_ORDER: tuple[str, ...] = get_args(Permission)
Name = Annotated[str, StringConstraints(pattern=r"^[\w.\-@]{1,128}$")]


class Scope(Model):
    scope: Name


class NewScope(Scope):
    initial_manage_principal: Literal["users"] | None = None
    scope_backend_type: Literal["DATABRICKS"] = "DATABRICKS"


class Key(Scope):
    key: Name


class Value(Key):
    string_value: str | None = None
    bytes_value: str | None = None


class Principal(Scope):
    principal: str


class Acl(Principal):
    permission: Permission


def held(acls: dict[str, str], user_name: str, groups: frozenset[str]) -> str | None:
    """The most powerful permission that a list gives somebody, by name or by a group; None if it gives none."""
    mine = [level for principal, level in acls.items() if principal == user_name or principal in groups]
    return max(mine, key=_ORDER.index, default=None)


def _scope(ctx: Context, scope: str, level: Permission) -> dict[str, Any]:
    """A scope as it is kept. Raises NotFound if there is none, PermissionDenied if the caller lacks the level."""
    found = store.get(ctx.db, KIND, scope)
    if found is None:
        raise NotFound(f"There is no secret scope {scope!r}.")
    has = "MANAGE" if ctx.caller.is_admin else held(found["acls"], ctx.caller.user_name, ctx.caller.groups)
    if has is None or _ORDER.index(has) < _ORDER.index(level):
        raise PermissionDenied(
            f"{ctx.caller.user_name} does not have {level} permission on the secret scope {scope!r}."
        )
    return found


def _key(found: dict[str, Any], which: Key) -> dict[str, Any]:
    if which.key not in found["keys"]:
        raise NotFound(f"The scope {which.scope!r} has no secret {which.key!r}.")
    return dict(found["keys"][which.key])


def _create_scope(ctx: Context, new: NewScope) -> None:
    if store.get(ctx.db, KIND, new.scope):
        raise AlreadyExists(f"There is a secret scope {new.scope!r} already.")
    manager = new.initial_manage_principal or ctx.caller.user_name
    store.put(ctx.db, KIND, new.scope, {"acls": {manager: "MANAGE"}, "keys": {}})


def _delete_scope(ctx: Context, which: Scope) -> None:
    _scope(ctx, which.scope, "MANAGE")
    store.remove(ctx.db, KIND, which.scope)


def _list_scopes(ctx: Context, _: Model) -> dict[str, Any]:
    names = sorted(name for name, _ in store.every(ctx.db, KIND))
    return {"scopes": [{"name": name, "backend_type": "DATABRICKS"} for name in names]}


def _put(ctx: Context, new: Value) -> None:
    found = _scope(ctx, new.scope, "WRITE")
    if (new.string_value is None) == (new.bytes_value is None):
        raise MalformedRequest("A secret takes string_value or bytes_value, exactly one of the two.")
    try:
        text, coded = new.string_value, new.bytes_value or ""
        value = base64.b64decode(coded, validate=True) if text is None else text.encode()
    except (binascii.Error, UnicodeEncodeError):
        raise MalformedRequest(f"The value of the secret {new.key!r} is neither text nor base64.") from None
    if len(value) > BYTES:
        raise InvalidParameter(
            f"The secret {new.key!r} has {len(value)} bytes; {BYTES} are the most it may have."
        )
    found["keys"][new.key] = {"sealed": vault.seal(ctx.home, value).decode(), "updated": ctx.now}
    store.put(ctx.db, KIND, new.scope, found)


def _get(ctx: Context, which: Key) -> dict[str, Any]:
    sealed = _key(_scope(ctx, which.scope, "READ"), which)["sealed"]
    return {"key": which.key, "value": base64.b64encode(vault.opened(ctx.home, sealed.encode())).decode()}


def _delete(ctx: Context, which: Key) -> None:
    found = _scope(ctx, which.scope, "WRITE")
    _key(found, which)
    del found["keys"][which.key]
    store.put(ctx.db, KIND, which.scope, found)


def _list(ctx: Context, which: Scope) -> dict[str, Any]:
    keys = sorted(_scope(ctx, which.scope, "READ")["keys"].items())
    return {"secrets": [{"key": key, "last_updated_timestamp": kept["updated"]} for key, kept in keys]}


def _put_acl(ctx: Context, new: Acl) -> None:
    found = _scope(ctx, new.scope, "MANAGE")
    if not identity.named(ctx, new.principal) and not principals.find(ctx.db, "Group", new.principal):
        raise InvalidParameter(
            f"The principal {new.principal!r} is no user, service principal or group of this workspace."
        )
    found["acls"][new.principal] = new.permission
    store.put(ctx.db, KIND, new.scope, found)


def _get_acl(ctx: Context, which: Principal) -> dict[str, Any]:
    acls = _scope(ctx, which.scope, "MANAGE")["acls"]
    if which.principal not in acls:
        raise NotFound(f"The scope {which.scope!r} has no ACL for {which.principal!r}.")
    return {"principal": which.principal, "permission": acls[which.principal]}


def _list_acls(ctx: Context, which: Scope) -> dict[str, Any]:
    acls = sorted(_scope(ctx, which.scope, "MANAGE")["acls"].items())
    return {"items": [{"principal": name, "permission": level} for name, level in acls]}


def _delete_acl(ctx: Context, which: Principal) -> None:
    _get_acl(ctx, which)
    found = _scope(ctx, which.scope, "MANAGE")
    del found["acls"][which.principal]
    store.put(ctx.db, KIND, which.scope, found)


class _State(Strict):
    """What is declared: scopes, who may what, and which keys there are. Values stay where they are."""

    name: Name
    acls: dict[str, Permission]
    keys: list[Name]


class _States(Strict):
    scopes: list[_State]


def export(ctx: Context) -> dict[str, Any]:
    """Scopes with their lists and keys; never a value."""
    scopes = sorted(store.every(ctx.db, KIND))
    told = [{"name": name, "acls": found["acls"], "keys": sorted(found["keys"])} for name, found in scopes]
    return {"scopes": told}


def load(ctx: Context, state: dict[str, Any]) -> None:
    """Have exactly these scopes. A key that had a value here keeps it; another's is empty, as no state carries values."""
    told, kept = validated(_States, state), dict(store.every(ctx.db, KIND))
    empty = {"sealed": vault.seal(ctx.home, b"").decode(), "updated": ctx.now}
    store.clear(ctx.db, KIND)
    for scope in told.scopes:
        before = kept.get(scope.name, {"keys": {}})["keys"]
        keys = {key: before.get(key, empty) for key in scope.keys}
        store.put(ctx.db, KIND, scope.name, {"acls": scope.acls, "keys": keys})


ENDPOINTS = (
    Endpoint("POST", "/api/2.0/secrets/scopes/create", _create_scope, NewScope, ("secrets", "createScope")),
    Endpoint("POST", "/api/2.0/secrets/scopes/delete", _delete_scope, Scope, ("secrets", "deleteScope")),
    Endpoint("GET", "/api/2.0/secrets/scopes/list", _list_scopes, Model, ("secrets", "listScopes")),
    Endpoint("POST", "/api/2.0/secrets/put", _put, Value, ("secrets", "putSecret")),
    Endpoint("GET", "/api/2.0/secrets/get", _get, Key, ("secrets", "getSecret")),
    Endpoint("POST", "/api/2.0/secrets/delete", _delete, Key, ("secrets", "deleteSecret")),
    Endpoint("GET", "/api/2.0/secrets/list", _list, Scope, ("secrets", "listSecrets")),
    Endpoint("POST", "/api/2.0/secrets/acls/put", _put_acl, Acl, ("secrets", "putAcl")),
    Endpoint("GET", "/api/2.0/secrets/acls/get", _get_acl, Principal, ("secrets", "getAcl")),
    Endpoint("GET", "/api/2.0/secrets/acls/list", _list_acls, Scope, ("secrets", "listAcls")),
    Endpoint("POST", "/api/2.0/secrets/acls/delete", _delete_acl, Principal, ("secrets", "deleteAcl")),
)
