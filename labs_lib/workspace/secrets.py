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
from labs_lib.workspace.ground import vault
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

SCHEMA = """
CREATE TABLE IF NOT EXISTS secret_scopes (name TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS secret_acls (
    scope TEXT NOT NULL REFERENCES secret_scopes ON DELETE CASCADE, principal TEXT NOT NULL, permission TEXT NOT NULL,
    PRIMARY KEY (scope, principal)
);
CREATE TABLE IF NOT EXISTS secret_values (
    scope TEXT NOT NULL REFERENCES secret_scopes ON DELETE CASCADE, key TEXT NOT NULL, sealed BLOB NOT NULL, updated INTEGER NOT NULL,
    PRIMARY KEY (scope, key)
);
"""

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


def value_of(ctx: Context, scope: str, key: str) -> bytes:
    """A secret's value, for whoever asks and may read it. Raises NotFound or PermissionDenied."""
    _require(ctx, scope, "READ")
    row = ctx.db.execute(
        "SELECT sealed FROM secret_values WHERE scope = ? AND key = ?", (scope, key)
    ).fetchone()
    if row is None:
        raise NotFound(f"The scope {scope!r} has no secret {key!r}.")
    return vault.opened(ctx.home, row["sealed"])


def _require(ctx: Context, scope: str, level: Permission) -> dict[str, str]:
    """The scope's list of who may what. Raises NotFound if there is no such scope, PermissionDenied if the caller lacks the level."""
    if ctx.db.execute("SELECT 1 FROM secret_scopes WHERE name = ?", (scope,)).fetchone() is None:
        raise NotFound(f"There is no secret scope {scope!r}.")
    rows = ctx.db.execute("SELECT * FROM secret_acls WHERE scope = ? ORDER BY principal", (scope,))
    acls = {row["principal"]: row["permission"] for row in rows}
    has = "MANAGE" if ctx.caller.is_admin else held(acls, ctx.caller.user_name, ctx.caller.groups)
    if has is None or _ORDER.index(has) < _ORDER.index(level):
        raise PermissionDenied(
            f"{ctx.caller.user_name} does not have {level} permission on the secret scope {scope!r}."
        )
    return acls


def _create_scope(ctx: Context, new: NewScope) -> None:
    if ctx.db.execute("SELECT 1 FROM secret_scopes WHERE name = ?", (new.scope,)).fetchone():
        raise AlreadyExists(f"There is a secret scope {new.scope!r} already.")
    ctx.db.execute("INSERT INTO secret_scopes VALUES (?)", (new.scope,))
    manager = new.initial_manage_principal or ctx.caller.user_name
    ctx.db.execute("INSERT INTO secret_acls VALUES (?, ?, 'MANAGE')", (new.scope, manager))


def _delete_scope(ctx: Context, which: Scope) -> None:
    _require(ctx, which.scope, "MANAGE")
    ctx.db.execute("DELETE FROM secret_scopes WHERE name = ?", (which.scope,))


def _list_scopes(ctx: Context, _: Model) -> dict[str, Any]:
    rows = ctx.db.execute("SELECT name FROM secret_scopes ORDER BY name")
    return {"scopes": [{"name": row["name"], "backend_type": "DATABRICKS"} for row in rows]}


def _put(ctx: Context, new: Value) -> None:
    _require(ctx, new.scope, "WRITE")
    if (new.string_value is None) == (new.bytes_value is None):
        raise MalformedRequest("A secret takes string_value or bytes_value, exactly one of the two.")
    try:
        value = (
            new.string_value.encode()
            if new.string_value is not None
            else base64.b64decode(new.bytes_value or "", validate=True)
        )
    except (binascii.Error, UnicodeEncodeError):
        raise MalformedRequest(f"The value of the secret {new.key!r} is neither text nor base64.") from None
    if len(value) > BYTES:
        raise InvalidParameter(
            f"The secret {new.key!r} has {len(value)} bytes; {BYTES} are the most it may have."
        )
    sealed = vault.seal(ctx.home, value)
    ctx.db.execute("REPLACE INTO secret_values VALUES (?, ?, ?, ?)", (new.scope, new.key, sealed, ctx.now))


def _get(ctx: Context, which: Key) -> dict[str, Any]:
    value = value_of(ctx, which.scope, which.key)
    return {"key": which.key, "value": base64.b64encode(value).decode()}


def _delete(ctx: Context, which: Key) -> None:
    _require(ctx, which.scope, "WRITE")
    gone = ctx.db.execute("DELETE FROM secret_values WHERE scope = ? AND key = ?", (which.scope, which.key))
    if not gone.rowcount:
        raise NotFound(f"The scope {which.scope!r} has no secret {which.key!r}.")


def _list(ctx: Context, which: Scope) -> dict[str, Any]:
    _require(ctx, which.scope, "READ")
    rows = ctx.db.execute(
        "SELECT key, updated FROM secret_values WHERE scope = ? ORDER BY key", (which.scope,)
    )
    return {"secrets": [{"key": row["key"], "last_updated_timestamp": row["updated"]} for row in rows]}


def _put_acl(ctx: Context, new: Acl) -> None:
    _require(ctx, new.scope, "MANAGE")
    if not identity.named(ctx, new.principal) and not principals.find(ctx.db, "Group", new.principal):
        raise InvalidParameter(
            f"The principal {new.principal!r} is no user, service principal or group of this workspace."
        )
    ctx.db.execute("REPLACE INTO secret_acls VALUES (?, ?, ?)", (new.scope, new.principal, new.permission))


def _get_acl(ctx: Context, which: Principal) -> dict[str, Any]:
    acls = _require(ctx, which.scope, "MANAGE")
    if which.principal not in acls:
        raise NotFound(f"The scope {which.scope!r} has no ACL for {which.principal!r}.")
    return {"principal": which.principal, "permission": acls[which.principal]}


def _list_acls(ctx: Context, which: Scope) -> dict[str, Any]:
    acls = _require(ctx, which.scope, "MANAGE")
    return {"items": [{"principal": name, "permission": level} for name, level in acls.items()]}


def _delete_acl(ctx: Context, which: Principal) -> None:
    _get_acl(ctx, which)
    ctx.db.execute(
        "DELETE FROM secret_acls WHERE scope = ? AND principal = ?", (which.scope, which.principal)
    )


class _State(Strict):
    """What is declared: scopes, who may what, and which keys there are. Values stay where they are."""

    name: Name
    acls: dict[str, Permission]
    keys: list[Name]


class _States(Strict):
    scopes: list[_State]


def export(ctx: Context) -> dict[str, Any]:
    """Scopes with their lists and keys; never a value."""
    scopes = []
    for (name,) in ctx.db.execute("SELECT name FROM secret_scopes ORDER BY name").fetchall():
        acls = ctx.db.execute(
            "SELECT principal, permission FROM secret_acls WHERE scope = ? ORDER BY 1", (name,)
        )
        keys = ctx.db.execute("SELECT key FROM secret_values WHERE scope = ? ORDER BY 1", (name,))
        scopes.append({"name": name, "acls": dict(map(tuple, acls)), "keys": [key for (key,) in keys]})
    return {"scopes": scopes}


def load(ctx: Context, state: dict[str, Any]) -> None:
    """Have exactly these scopes. A key that had a value here keeps it; another's is empty, as no state carries values."""
    states = validated(_States, state)
    kept = {
        (r["scope"], r["key"]): (r["sealed"], r["updated"])
        for r in ctx.db.execute("SELECT * FROM secret_values")
    }
    ctx.db.execute("DELETE FROM secret_scopes")
    empty = vault.seal(ctx.home, b"")
    for scope in states.scopes:
        ctx.db.execute("INSERT INTO secret_scopes VALUES (?)", (scope.name,))
        ctx.db.executemany(
            "INSERT INTO secret_acls VALUES (?, ?, ?)", [(scope.name, *acl) for acl in scope.acls.items()]
        )
        for key in dict.fromkeys(scope.keys):
            sealed, updated = kept.get((scope.name, key), (empty, ctx.now))
            ctx.db.execute(
                "INSERT INTO secret_values VALUES (?, ?, ?, ?)", (scope.name, key, sealed, updated)
            )


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
