"""Personal access tokens: each has an owner and an end, and is kept as its digest alone."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
from itertools import count
from typing import Annotated, Any

from pydantic import Field

from labs_lib.workspace.ground import store
from labs_lib.workspace.ground.context import Caller, Context
from labs_lib.workspace.ground.endpoints import Endpoint, Model, Text
from labs_lib.workspace.ground.errors import InvalidParameter, NotFound, PermissionDenied, QuotaExceeded
from labs_lib.workspace.identity import principals

SCHEMA = """
CREATE TABLE IF NOT EXISTS tokens (
    id TEXT PRIMARY KEY, digest TEXT NOT NULL UNIQUE, owner_id TEXT NOT NULL REFERENCES principals ON DELETE CASCADE,
    made_by TEXT NOT NULL, comment TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL, revoked INTEGER NOT NULL DEFAULT 0
);
"""
LONGEST = 730 * 24 * 60 * 60  # seconds: two years, as on Databricks
MOST = 600  # tokens a principal, as on Databricks
NEVER = -1


def make(
    db: sqlite3.Connection,
    now: int,
    owner: principals.Principal,
    made_by: str,
    comment: str,
    lifetime: int | None,
) -> tuple[str, str]:
    """A new token and its id. `lifetime` is in seconds; None makes one that does not end. Raises QuotaExceeded."""
    held = db.execute(
        "SELECT count(*) FROM tokens WHERE owner_id = ? AND NOT revoked", (owner.id,)
    ).fetchone()[0]
    if held >= MOST:
        raise QuotaExceeded(f"{owner.name} has {held} tokens, and {MOST} are the most that anybody may have.")
    return keep(db, now, f"dapi{secrets.token_hex(16)}", owner, made_by, comment, lifetime)


def keep(
    db: sqlite3.Connection,
    now: int,
    token: str,
    owner: principals.Principal,
    made_by: str,
    comment: str,
    lifetime: int | None,
) -> tuple[str, str]:
    """Have this token be the owner's; returns it and its id."""
    id = digest(token)
    expires = NEVER if lifetime is None else now + lifetime * 1000
    db.execute(
        "INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
        (id, id, owner.id, made_by, comment, now, expires),
    )
    return token, id


def digest(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def adopt(db: sqlite3.Connection, now: int, token: str) -> None:
    """Have this token be the learner's, in place of the one that an earlier process of the service was given."""
    owner = principals.find(db, "User", principals.LEARNER)
    assert owner is not None
    db.execute("DELETE FROM tokens WHERE id = 'lab'")
    db.execute(
        "INSERT INTO tokens VALUES ('lab', ?, ?, ?, 'the lab', ?, ?, 0)",
        (digest(token), owner.id, owner.name, now, NEVER),
    )


def caller_of(db: sqlite3.Connection, now: int, token: str) -> Caller:
    """Whose token it is. Raises PermissionDenied for one that is unknown, revoked or over, or whose owner is not active."""
    row = db.execute(
        "SELECT tokens.*, principals.name, principals.active FROM tokens JOIN principals ON principals.id = owner_id WHERE digest = ?",
        (digest(token),),
    ).fetchone()
    if row is None:
        raise PermissionDenied("Invalid access token: this workspace gave out no such token.")
    if row["revoked"]:
        raise PermissionDenied(f"Invalid access token: the token of {row['name']} was revoked.")
    if row["expires"] != NEVER and row["expires"] <= now:
        raise PermissionDenied(f"Invalid access token: the token of {row['name']} has expired.")
    if not row["active"]:
        raise PermissionDenied(f"Invalid access token: {row['name']} has been deactivated.")
    return _caller(db, row["owner_id"], row["name"])


def owner_of(db: sqlite3.Connection, token: str) -> str | None:
    """Whose token it is or was, valid or not: for the audit log."""
    row = db.execute(
        "SELECT name FROM tokens JOIN principals ON principals.id = owner_id WHERE digest = ?",
        (digest(token),),
    ).fetchone()
    return row["name"] if row else None


def as_user(ctx: Context, name: str) -> Caller:
    """A user or service principal as a caller: for what runs in somebody's name. Raises NotFound, PermissionDenied if deactivated."""
    found = principals.named(ctx, name)
    if found is None:
        raise NotFound(f"There is no user or service principal {name!r}.")
    if not found.active:
        raise PermissionDenied(f"{name} has been deactivated.")
    return _caller(ctx.db, found.id, found.name)


def _caller(db: sqlite3.Connection, id: str, name: str) -> Caller:
    row = db.execute("SELECT kind FROM principals WHERE id = ?", (id,)).fetchone()
    groups = principals.all_groups(db, principals.get(db, row["kind"], id))
    return Caller(name, id, groups, principals.ADMINS in groups)


class Create(Model):
    comment: Text = ""
    lifetime_seconds: Annotated[int, Field(gt=0, le=LONGEST)] = LONGEST


class OnBehalf(Create):
    application_id: str


class Which(Model):
    token_id: str


class Filter(Model):
    created_by_username: str | None = None
    created_by_id: str | None = None


class ForUser(Model):
    user_name: str


def _create(ctx: Context, wanted: Create) -> dict[str, Any]:
    found = principals.named(ctx, ctx.caller.user_name)
    if found is None:
        raise NotFound(f"There is no user {ctx.caller.user_name!r} any more.")
    return _made(ctx, found, wanted.comment, wanted.lifetime_seconds)


def _create_on_behalf(ctx: Context, wanted: OnBehalf) -> dict[str, Any]:
    principals.require_admin(ctx, "makes tokens on behalf of a service principal")
    found = principals.find(ctx.db, "ServicePrincipal", wanted.application_id)
    if found is None:
        raise NotFound(f"There is no service principal {wanted.application_id!r}.")
    return _made(ctx, found, wanted.comment, wanted.lifetime_seconds)


def _create_for_user(ctx: Context, wanted: ForUser) -> dict[str, Any]:
    """The course's own: an admin acts as anybody, so that a notebook may be ana and ben in turn."""
    principals.require_admin(ctx, "makes tokens for others")
    found = principals.named(ctx, wanted.user_name)
    if found is None:
        raise NotFound(f"There is no user or service principal {wanted.user_name!r}; create it first.")
    token, id = _standing(ctx, found)
    return {"token_value": token, "token_info": _info(_row(ctx, id))}


def _standing(ctx: Context, owner: principals.Principal) -> tuple[str, str]:
    """The same token for somebody each time, worked out from the workspace's secret, until it is revoked."""
    secret = store.setting(ctx.db, "token_secret")
    if not secret:
        secret = secrets.token_hex()
        store.set_setting(ctx.db, "token_secret", secret)
    for number in count():
        token = f"dapi{hmac.digest(secret.encode(), f'{owner.id}.{number}'.encode(), 'sha256').hex()[:32]}"
        row = ctx.db.execute("SELECT revoked FROM tokens WHERE id = ?", (digest(token),)).fetchone()
        if row is None:
            return keep(ctx.db, ctx.now, token, owner, ctx.caller.user_name, "lab.token_for", None)
        if not row["revoked"]:
            return token, digest(token)
    raise AssertionError("count() has no end")


def _made(ctx: Context, owner: principals.Principal, comment: str, lifetime: int | None) -> dict[str, Any]:
    token, id = make(ctx.db, ctx.now, owner, ctx.caller.user_name, comment, lifetime)
    return {"token_value": token, "token_info": _info(_row(ctx, id))}


def _list_own(ctx: Context, _: Model) -> dict[str, Any]:
    rows = ctx.db.execute(
        "SELECT * FROM tokens WHERE owner_id = ? AND NOT revoked AND (expires = ? OR expires > ?) ORDER BY created",
        (ctx.caller.id, NEVER, ctx.now),
    )
    return {"token_infos": [_info(row) for row in rows]}


def _list_all(ctx: Context, wanted: Filter) -> dict[str, Any]:
    principals.require_admin(ctx, "lists everybody's tokens")
    rows = [
        _managed(ctx, row)
        for row in ctx.db.execute("SELECT * FROM tokens WHERE NOT revoked ORDER BY created")
    ]
    return {
        "token_infos": [
            row
            for row in rows
            if wanted.created_by_username in (None, row["created_by_username"])
            and wanted.created_by_id in (None, str(row["created_by_id"]))
        ]
    }


def _get(ctx: Context, wanted: Which) -> dict[str, Any]:
    principals.require_admin(ctx, "looks at others' tokens")
    return {"token_info": _managed(ctx, _row(ctx, wanted.token_id))}


def _revoke_own(ctx: Context, wanted: Which) -> None:
    row = _row(ctx, wanted.token_id)
    if row["owner_id"] != ctx.caller.id:
        raise NotFound(f"{ctx.caller.user_name} has no token with the id {wanted.token_id!r}.")
    _revoke_row(ctx, row)


def _revoke(ctx: Context, wanted: Which) -> None:
    principals.require_admin(ctx, "revokes others' tokens")
    _revoke_row(ctx, _row(ctx, wanted.token_id))


def _revoke_row(ctx: Context, row: sqlite3.Row) -> None:
    if row["id"] == "lab":
        raise InvalidParameter("This token is the lab's own, which your notebooks use; it can't be revoked.")
    ctx.db.execute("UPDATE tokens SET revoked = 1 WHERE id = ?", (row["id"],))


def _row(ctx: Context, id: str) -> sqlite3.Row:
    row: sqlite3.Row | None = ctx.db.execute(
        "SELECT * FROM tokens WHERE id = ? AND NOT revoked", (id,)
    ).fetchone()
    if row is None:
        raise NotFound(f"There is no token with the id {id!r}.")
    return row


def _info(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "token_id": row["id"],
        "creation_time": row["created"],
        "expiry_time": row["expires"],
        "comment": row["comment"],
    }


def _managed(ctx: Context, row: sqlite3.Row) -> dict[str, Any]:
    by = principals.named(ctx, row["made_by"])
    return _info(row) | {
        "owner_id": int(row["owner_id"]),
        "created_by_username": row["made_by"],
        "created_by_id": int(by.id) if by else None,
    }


ENDPOINTS = (
    Endpoint("POST", "/api/2.0/token/create", _create, Create, ("accounts", "generateDbToken")),
    Endpoint("GET", "/api/2.0/token/list", _list_own),
    Endpoint("POST", "/api/2.0/token/delete", _revoke_own, Which, ("accounts", "revokeDbToken")),
    Endpoint(
        "POST",
        "/api/2.0/token-management/on-behalf-of/tokens",
        _create_on_behalf,
        OnBehalf,
        ("accounts", "generateDbToken"),
    ),
    Endpoint("GET", "/api/2.0/token-management/tokens", _list_all, Filter),
    Endpoint("GET", "/api/2.0/token-management/tokens/{token_id}", _get, Which),
    Endpoint(
        "DELETE", "/api/2.0/token-management/tokens/{token_id}", _revoke, Which, ("accounts", "revokeDbToken")
    ),
    Endpoint("POST", "/api/labs/tokens", _create_for_user, ForUser, ("accounts", "generateDbToken")),
)
