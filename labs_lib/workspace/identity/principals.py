"""Users, groups and service principals in the store, and who is in which group by way of which other."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field
from typing import Any, Literal

from labs_lib.workspace.ground import store
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.errors import AlreadyExists, InvalidParameter, NotFound, PermissionDenied

SCHEMA = """
CREATE TABLE IF NOT EXISTS principals (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL COLLATE NOCASE, active INTEGER NOT NULL, body TEXT NOT NULL,
    UNIQUE (kind, name)
);
CREATE TABLE IF NOT EXISTS members (
    group_id TEXT NOT NULL REFERENCES principals ON DELETE CASCADE, member_id TEXT NOT NULL REFERENCES principals ON DELETE CASCADE,
    PRIMARY KEY (group_id, member_id)
);
CREATE INDEX IF NOT EXISTS members_by_member ON members (member_id);
"""

Kind = Literal["User", "Group", "ServicePrincipal"]
WORDS: dict[Kind, str] = {"User": "user", "Group": "group", "ServicePrincipal": "service principal"}
LEARNER = "learner@example.com"  # the workspace's first admin
ADMINS, EVERYBODY = "admins", "users"

ABOVE = """
WITH RECURSIVE above(id) AS (SELECT group_id FROM members WHERE member_id = ?
    UNION SELECT group_id FROM members JOIN above ON member_id = above.id)
SELECT principals.* FROM above JOIN principals USING (id) ORDER BY CAST(id AS INTEGER)
"""


@dataclass
class Principal:
    """`name` is a user's address, a group's name, or a service principal's application id; `body` is the rest, in SCIM's words."""

    id: str
    kind: Kind
    name: str
    active: bool = True
    body: dict[str, Any] = field(default_factory=dict)


def prepare(ctx: Context) -> None:
    """Have the learner as admin, and the two groups that every workspace has."""
    if find(ctx.db, "Group", ADMINS) is None:
        admins, _, learner = (
            add(ctx.db, kind, name)
            for kind, name in (("Group", ADMINS), ("Group", EVERYBODY), ("User", LEARNER))
        )
        learner.body = {"displayName": "Learner"}
        save(ctx.db, learner)
        set_members(ctx.db, admins, [learner.id])


def add(db: sqlite3.Connection, kind: Any, name: str) -> Principal:
    """A new principal. Raises AlreadyExists if there is one of that kind and name."""
    if find(db, kind, name):
        raise AlreadyExists(f"There is a {WORDS[kind]} {name!r} already.")
    found = Principal(str(store.next_id(db, "principal")), kind, name)
    db.execute("INSERT INTO principals VALUES (?, ?, ?, 1, '{}')", (found.id, kind, name))
    return found


def save(db: sqlite3.Connection, found: Principal) -> None:
    """Keep what was changed. Raises AlreadyExists if another of that kind has the name."""
    other = find(db, found.kind, found.name)
    if other and other.id != found.id:
        raise AlreadyExists(f"There is a {WORDS[found.kind]} {found.name!r} already.")
    db.execute(
        "UPDATE principals SET name = ?, active = ?, body = ? WHERE id = ?",
        (found.name, found.active, json.dumps(found.body), found.id),
    )


def remove(db: sqlite3.Connection, found: Principal) -> None:
    """Remove a principal, out of all groups too. Raises InvalidParameter for the groups that every workspace has."""
    if found.kind == "Group" and found.name in (ADMINS, EVERYBODY):
        raise InvalidParameter(f"The group {found.name!r} belongs to the workspace and can't be deleted.")
    db.execute("DELETE FROM principals WHERE id = ?", (found.id,))


def get(db: sqlite3.Connection, kind: Kind, id: str) -> Principal:
    """The principal of that kind and id. Raises NotFound."""
    row = db.execute("SELECT * FROM principals WHERE id = ? AND kind = ?", (id, kind)).fetchone()
    if row is None:
        raise NotFound(f"There is no {WORDS[kind]} with the id {id!r}.")
    return _read(row)


def find(db: sqlite3.Connection, kind: Kind, name: str) -> Principal | None:
    """The principal of that kind and name, in whatever case of letters."""
    row = db.execute("SELECT * FROM principals WHERE kind = ? AND name = ?", (kind, name)).fetchone()
    return _read(row) if row else None


def every(db: sqlite3.Connection, kind: Kind) -> list[Principal]:
    """All of a kind, in the order in which they came."""
    rows = db.execute("SELECT * FROM principals WHERE kind = ? ORDER BY CAST(id AS INTEGER)", (kind,))
    return [_read(row) for row in rows]


def direct_members(db: sqlite3.Connection, group: Principal) -> list[Principal]:
    """Those who are in a group themselves; all users in `users`."""
    return every(db, "User") if group.name == EVERYBODY else _beside(db, "member_id", "group_id", group.id)


def direct_groups(db: sqlite3.Connection, member: Principal) -> list[Principal]:
    """The groups that somebody is in himself, but for `users`."""
    return _beside(db, "group_id", "member_id", member.id)


def _beside(db: sqlite3.Connection, wanted: str, given: str, id: str) -> list[Principal]:
    query = f"SELECT principals.* FROM members JOIN principals ON id = {wanted} WHERE {given} = ? ORDER BY CAST(id AS INTEGER)"
    return [_read(row) for row in db.execute(query, (id,))]


def groups_above(db: sqlite3.Connection, id: str) -> list[Principal]:
    """The groups that a principal is in, directly or by way of others, but for `users`."""
    return [_read(row) for row in db.execute(ABOVE, (id,))]


def set_members(db: sqlite3.Connection, group: Principal, ids: list[str]) -> None:
    """Have exactly these in a group. Raises InvalidParameter for ids of nobody and for circles."""
    if group.name == EVERYBODY:
        raise InvalidParameter(f"Everybody is in the group {EVERYBODY!r}; its members can't be set.")
    above = {group.id, *(each.id for each in groups_above(db, group.id))}
    for id in ids:
        row = db.execute("SELECT * FROM principals WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise InvalidParameter(
                f"The group {group.name!r} can't have the member {id!r}: nobody has that id."
            )
        if id in above:
            raise InvalidParameter(
                f"The group {group.name!r} can't have {row['name']!r} as a member: that group is, or holds, the group itself."
            )
        if row["kind"] == "Group" and row["name"] in (ADMINS, EVERYBODY):
            raise InvalidParameter(f"The group {row['name']!r} can't be in another group.")
    db.execute("DELETE FROM members WHERE group_id = ?", (group.id,))
    db.executemany("INSERT INTO members VALUES (?, ?)", [(group.id, id) for id in dict.fromkeys(ids)])


def require_the_learner(db: sqlite3.Connection) -> None:
    """Raise InvalidParameter unless the learner is an active admin: notebooks use that token, and nobody could mend what locks it out."""
    learner = find(db, "User", LEARNER)
    if learner is None or not learner.active or ADMINS not in all_groups(db, learner):
        raise InvalidParameter(
            f"{LEARNER}, whose token your notebooks use, has to stay an active user in the group {ADMINS!r}."
        )


def require_admin(ctx: Context, what: str) -> None:
    """Raise PermissionDenied, "Only an admin `what`.", unless the caller is one."""
    if not ctx.caller.is_admin:
        raise PermissionDenied(f"Only an admin {what}; {ctx.caller.user_name} is none.")


def entitled(ctx: Context, what: str) -> bool:
    """Whether the caller has an entitlement such as `allow-cluster-create`: himself, by a group, or by being an admin."""
    groups = [the(ctx.db, "Group", EVERYBODY), *groups_above(ctx.db, ctx.caller.id)]
    held = [known(ctx, ctx.caller.user_name), *groups] if not ctx.caller.is_admin else []
    given = [entry.get("value") for each in held for entry in each.body.get("entitlements", [])]
    return ctx.caller.is_admin or what in given


def named(ctx: Context, name: str) -> Principal | None:
    """The user of that address, or the service principal of that application id."""
    return find(ctx.db, "User", name) or find(ctx.db, "ServicePrincipal", name)


def known(ctx: Context, name: str) -> Principal:
    """As `named`. Raises NotFound."""
    found = named(ctx, name)
    if found is None:
        raise NotFound(f"There is no user or service principal {name!r}; create it first.")
    return found


def the(db: sqlite3.Connection, kind: Kind, name: str) -> Principal:
    """The principal of that kind and name. Raises NotFound."""
    found = find(db, kind, name)
    if found is None:
        raise NotFound(f"There is no {WORDS[kind]} {name!r}.")
    return found


def all_groups(db: sqlite3.Connection, found: Principal) -> frozenset[str]:
    """Names of all groups that somebody is in, by way of others too; users are in `users` without being put there."""
    everybody = {EVERYBODY} if found.kind == "User" else set()
    return frozenset({each.name for each in groups_above(db, found.id)} | everybody)


def _read(row: sqlite3.Row) -> Principal:
    return Principal(row["id"], row["kind"], row["name"], bool(row["active"]), json.loads(row["body"]))
