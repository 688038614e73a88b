"""The lists in the store, and the one question: what is the highest level that this caller has on that object?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from labs_lib.workspace import identity
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.errors import InvalidParameter, NotFound, PermissionDenied
from labs_lib.workspace.identity.principals import Kind

SCHEMA = """
CREATE TABLE IF NOT EXISTS grants (
    object_type TEXT NOT NULL, object_id TEXT NOT NULL, principal_id TEXT NOT NULL REFERENCES principals ON DELETE CASCADE,
    level TEXT NOT NULL, PRIMARY KEY (object_type, object_id, principal_id)
);
"""
# With names, which principals may change; what a leaver was granted is gone with him.
NAMED = """
SELECT grants.*, principals.kind, principals.name FROM grants JOIN principals ON principals.id = principal_id
"""
OWNER = "IS_OWNER"
DEEPEST = 64  # folders in folders

Reference = tuple[str, str]  # object type and id


@dataclass(frozen=True)
class ObjectType:
    """A type of object. `levels` go from the weakest to the strongest, each with what the weaker ones allow."""

    name: str  # as the path of the permissions interface has it
    levels: tuple[str, ...]
    exists: Callable[[Context, str], bool]
    parent: Callable[[Context, str], Reference | None]
    # Whether it is part of the exported state, and not of what happened.
    declared: Callable[[Context, str], bool]

    @property
    def manage(self) -> str:
        return "CAN_MANAGE" if "CAN_MANAGE" in self.levels else self.levels[-1]


@dataclass(frozen=True)
class Grant:
    """One entry, and the object that it stands at."""

    kind: Kind
    principal_id: str
    principal: str
    level: str
    at: Reference


_types: dict[str, ObjectType] = {}


def register(
    name: str,
    levels: Sequence[str],
    exists: Callable[[Context, str], bool],
    parent: Callable[[Context, str], Reference | None] = lambda ctx, id: None,
    declared: Callable[[Context, str], bool] | None = None,
) -> None:
    """Make a type of object known, once, when its service is imported.

    `levels` go from the weakest to the strongest; `parent` names the object that an object lies in, whose levels count here too, by the same
    names. `declared` tells which objects belong to the exported state; all of them by default.
    """
    _types[name] = ObjectType(name, tuple(levels), exists, parent, declared or exists)


def type_named(name: str) -> ObjectType:
    """A registered type. Raises InvalidParameter."""
    if name not in _types:
        raise InvalidParameter(
            f"There are no permissions on {name!r}; there are on {', '.join(sorted(_types))}."
        )
    return _types[name]


def known(ctx: Context, object_type: str, object_id: str) -> ObjectType:
    """The type, if the object exists. Raises InvalidParameter, NotFound."""
    found = type_named(object_type)
    if not found.exists(ctx, object_id):
        raise NotFound(f"There is no object {object_id!r} among the {object_type}.")
    return found


def grants(ctx: Context, object_type: str, object_id: str) -> Iterator[Grant]:
    """All entries that count for an object: its own first, then those of what it lies in, in this object's levels."""
    own = type_named(object_type)
    here: Reference | None = (object_type, object_id)
    for _ in range(DEEPEST):
        if here is None:
            return
        kind = type_named(here[0])
        rows = ctx.db.execute(f"{NAMED} WHERE object_type = ? AND object_id = ? ORDER BY kind, name", here)
        for row in rows.fetchall():
            if row["level"] in own.levels:
                yield Grant(row["kind"], row["principal_id"], row["name"], row["level"], here)
        here = kind.parent(ctx, here[1])


def level_of(ctx: Context, object_type: str, object_id: str) -> str | None:
    """The highest level that the caller has on an object, by name, by group or by being an admin; None if none."""
    who, own = ctx.caller, type_named(object_type)
    if who.is_admin:
        return own.levels[-1]
    held = [
        own.levels.index(grant.level)
        for grant in grants(ctx, object_type, object_id)
        if (grant.principal in who.groups if grant.kind == "Group" else grant.principal_id == who.id)
    ]
    return own.levels[max(held)] if held else None


def allowed(ctx: Context, object_type: str, object_id: str, level: str) -> bool:
    """Whether the caller has at least that level on an object."""
    levels, held = type_named(object_type).levels, level_of(ctx, object_type, object_id)
    return held is not None and levels.index(held) >= levels.index(level)


def require(ctx: Context, object_type: str, object_id: str, level: str) -> None:
    """Raise PermissionDenied, which says who lacks what, unless the caller has at least that level on the object."""
    if not allowed(ctx, object_type, object_id, level):
        held = level_of(ctx, object_type, object_id)
        raise PermissionDenied(
            f"{ctx.caller.user_name} needs {level} on {object_type}/{object_id} and has {held or 'no permission'} there."
        )


def grant_owner(ctx: Context, object_type: str, object_id: str, owner: str | None = None) -> None:
    """Give an object's creator IS_OWNER where the type has it, else the level that manages. `owner` is another than the caller."""
    own = type_named(object_type)
    found = identity.named(ctx, owner or ctx.caller.user_name)
    if found is not None:
        put(ctx, object_type, object_id, found.id, OWNER if OWNER in own.levels else own.manage)


def put(ctx: Context, object_type: str, object_id: str, principal_id: str, level: str) -> None:
    """Have one entry on an object, in place of that principal's former one."""
    ctx.db.execute(
        "INSERT INTO grants VALUES (?, ?, ?, ?)"
        " ON CONFLICT (object_type, object_id, principal_id) DO UPDATE SET level = excluded.level",
        (object_type, object_id, principal_id, level),
    )


def forget(ctx: Context, object_type: str, object_id: str) -> None:
    """Remove all entries of an object that was deleted."""
    ctx.db.execute("DELETE FROM grants WHERE object_type = ? AND object_id = ?", (object_type, object_id))
