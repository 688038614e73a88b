"""Personal access tokens: each has an owner and an end, and is kept as its digest alone."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
from dataclasses import replace
from itertools import count
from typing import Annotated, Any

from pydantic import Field

from labs_lib.workspace.ground import store
from labs_lib.workspace.ground.context import Caller, Context
from labs_lib.workspace.ground.endpoints import Endpoint, Model, Text
from labs_lib.workspace.ground.errors import InvalidParameter, NotFound, PermissionDenied, QuotaExceeded
from labs_lib.workspace.identity import principals
from labs_lib.workspace.identity.principals import Principal

SCHEMA = """
CREATE TABLE IF NOT EXISTS tokens (
    id TEXT PRIMARY KEY, digest TEXT NOT NULL UNIQUE, owner_id TEXT NOT NULL REFERENCES principals ON DELETE CASCADE,
    made_by TEXT NOT NULL, comment TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL, revoked INTEGER NOT NULL DEFAULT 0
);
"""
LONGEST = 730 * 24 * 60 * 60  # seconds: two years, as on Databricks
MOST = 600  # tokens a principal, as on Databricks
NEVER = -1
LAB = "lab"  # the id of the learner's own, which notebooks use


def make(ctx: Context, owner: Principal, comment: str, lifetime: int | None) -> tuple[str, str]:
    """A new token, made by the caller, and its id. `lifetime` is in seconds; None makes one that does not end. Raises QuotaExceeded."""
    query = "SELECT count(*) FROM tokens WHERE owner_id = ? AND NOT revoked"
    held = ctx.db.execute(query, (owner.id,)).fetchone()[0]
    if held >= MOST:
        raise QuotaExceeded(f"{owner.name} has {held} tokens, and {MOST} are the most that anybody may have.")
    token = f"dapi{secrets.token_hex(16)}"
    return token, _keep(ctx, token, owner, comment, lifetime)


def _keep(
    ctx: Context, token: str, owner: Principal, comment: str, lifetime: int | None, id: str = ""
) -> str:
    expires = NEVER if lifetime is None else ctx.now + lifetime * 1000
    row = (id or digest(token), digest(token), owner.id, ctx.caller.user_name, comment, ctx.now, expires)
    ctx.db.execute("INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, 0)", row)
    return row[0]


def digest(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def adopt(ctx: Context, token: str) -> None:
    """Have this token be the learner's, in place of the one that an earlier process of the service was given."""
    ctx.db.execute("DELETE FROM tokens WHERE id = ?", (LAB,))
    owner = principals.the(ctx.db, "User", principals.LEARNER)
    _keep(replace(ctx, caller=as_user(ctx, owner.name)), token, owner, "the lab", None, LAB)


def caller_of(ctx: Context, token: str) -> Caller:
    """Whose token it is. Raises PermissionDenied for one that is unknown, revoked or over, or whose owner is not active."""
    row = ctx.db.execute(
        "SELECT tokens.*, principals.name FROM tokens JOIN principals ON principals.id = owner_id WHERE digest = ?",
        (digest(token),),
    ).fetchone()
    if row is None:
        raise PermissionDenied("Invalid access token: this workspace gave out no such token.")
    if row["revoked"]:
        raise PermissionDenied(f"Invalid access token: the token of {row['name']} was revoked.")
    if row["expires"] != NEVER and row["expires"] <= ctx.now:
        raise PermissionDenied(f"Invalid access token: the token of {row['name']} has expired.")
    return as_user(ctx, row["name"])


def owner_of(db: sqlite3.Connection, token: str) -> str | None:
    """Whose token it is or was, valid or not: for the audit log."""
    query = "SELECT name FROM tokens JOIN principals ON principals.id = owner_id WHERE digest = ?"
    row = db.execute(query, (digest(token),)).fetchone()
    return row["name"] if row else None


def as_user(ctx: Context, name: str) -> Caller:
    """A user or service principal as a caller: for what runs in somebody's name. Raises NotFound, PermissionDenied if deactivated."""
    found = principals.known(ctx, name)
    if not found.active:
        raise PermissionDenied(f"{name} has been deactivated.")
    groups = principals.all_groups(ctx.db, found)
    return Caller(found.name, found.id, groups, principals.ADMINS in groups)


class Create(Model):
    comment: Text = ""
    lifetime_seconds: Annotated[int, Field(gt=0, le=LONGEST)] = LONGEST


class OnBehalf(Create):
    application_id: str


class Which(Model):
    token_id: str


class ForUser(Model):
    user_name: str


def _create(ctx: Context, wanted: Create) -> dict[str, Any]:
    owner = principals.known(ctx, ctx.caller.user_name)
    return _told(ctx, *make(ctx, owner, wanted.comment, wanted.lifetime_seconds))


def _create_on_behalf(ctx: Context, wanted: OnBehalf) -> dict[str, Any]:
    principals.require_admin(ctx, "makes tokens on behalf of a service principal")
    owner = principals.the(ctx.db, "ServicePrincipal", wanted.application_id)
    return _told(ctx, *make(ctx, owner, wanted.comment, wanted.lifetime_seconds))


def _create_for_user(ctx: Context, wanted: ForUser) -> dict[str, Any]:
    """The course's own: an admin acts as anybody, so that a notebook may be ana and ben in turn. The same token for somebody each time,
    worked out from the workspace's secret, until it is revoked.
    """
    principals.require_admin(ctx, "makes tokens for others")
    owner, secret = principals.known(ctx, wanted.user_name), store.secret(ctx.db, "token_secret")
    for number in count():
        token = f"dapi{hmac.digest(secret, f'{owner.id}.{number}'.encode(), 'sha256').hex()[:32]}"
        row = ctx.db.execute("SELECT revoked FROM tokens WHERE id = ?", (digest(token),)).fetchone()
        if row is None:
            _keep(ctx, token, owner, "lab.token_for", None)
        if row is None or not row["revoked"]:
            return _told(ctx, token, digest(token))
    raise AssertionError("count() has no end")


def _told(ctx: Context, token: str, id: str) -> dict[str, Any]:
    return {"token_value": token, "token_info": _info(_row(ctx, id))}


def _list_own(ctx: Context, _: Model) -> dict[str, Any]:
    rows = ctx.db.execute(
        "SELECT * FROM tokens WHERE owner_id = ? AND NOT revoked AND (expires = ? OR expires > ?) ORDER BY created",
        (ctx.caller.id, NEVER, ctx.now),
    )
    return {"token_infos": [_info(row) for row in rows]}


def _list_all(ctx: Context, _: Model) -> dict[str, Any]:
    principals.require_admin(ctx, "lists everybody's tokens")
    rows = ctx.db.execute("SELECT * FROM tokens WHERE NOT revoked ORDER BY created").fetchall()
    who = ({"owner_id": int(row["owner_id"]), "created_by_username": row["made_by"]} for row in rows)
    return {"token_infos": [_info(row) | by for row, by in zip(rows, who, strict=True)]}


def _revoke_own(ctx: Context, wanted: Which) -> None:
    row = _row(ctx, wanted.token_id)
    if row["owner_id"] != ctx.caller.id:
        raise NotFound(f"{ctx.caller.user_name} has no token with the id {wanted.token_id!r}.")
    _revoke(ctx, row)


def _revoke_any(ctx: Context, wanted: Which) -> None:
    principals.require_admin(ctx, "revokes others' tokens")
    _revoke(ctx, _row(ctx, wanted.token_id))


def _revoke(ctx: Context, row: sqlite3.Row) -> None:
    if row["id"] == LAB:
        raise InvalidParameter("This token is the lab's own, which your notebooks use; it can't be revoked.")
    ctx.db.execute("UPDATE tokens SET revoked = 1 WHERE id = ?", (row["id"],))


def _row(ctx: Context, id: str) -> sqlite3.Row:
    query = "SELECT * FROM tokens WHERE id = ? AND NOT revoked"
    row: sqlite3.Row | None = ctx.db.execute(query, (id,)).fetchone()
    if row is None:
        raise NotFound(f"There is no token with the id {id!r}.")
    return row


def _info(row: sqlite3.Row) -> dict[str, Any]:
    names = {"token_id": "id", "creation_time": "created", "expiry_time": "expires", "comment": "comment"}
    return {name: row[column] for name, column in names.items()}


MADE, REVOKED = ("accounts", "generateDbToken"), ("accounts", "revokeDbToken")
MANAGEMENT = "/api/2.0/token-management"
ENDPOINTS = (
    Endpoint("POST", "/api/2.0/token/create", _create, Create, MADE),
    Endpoint("GET", "/api/2.0/token/list", _list_own),
    Endpoint("POST", "/api/2.0/token/delete", _revoke_own, Which, REVOKED),
    Endpoint("POST", f"{MANAGEMENT}/on-behalf-of/tokens", _create_on_behalf, OnBehalf, MADE),
    Endpoint("GET", f"{MANAGEMENT}/tokens", _list_all),
    Endpoint("DELETE", f"{MANAGEMENT}/tokens/{{token_id}}", _revoke_any, Which, REVOKED),
    Endpoint("POST", "/api/labs/tokens", _create_for_user, ForUser, MADE),
)
