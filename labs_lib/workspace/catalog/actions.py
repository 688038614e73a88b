"""What is done to the catalog, by whoever may: the REST API and the SQL door both come here."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from labs_lib.workspace import identity
from labs_lib.workspace.catalog import store
from labs_lib.workspace.catalog.columns import columns_of
from labs_lib.workspace.catalog.model import (
    METASTORE,
    Catalog,
    Column,
    Object,
    Policy,
    full_name,
    shown,
)
from labs_lib.workspace.catalog.privileges import ALL, EVERYBODY, GRANTABLE, MANAGE, Grant, Who
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.errors import (
    AlreadyExists,
    InvalidParameter,
    InvalidState,
    NotFound,
    PermissionDenied,
)
from labs_lib.workspace.identity import principals

MAX_OBJECTS = 20_000
MAX_TEXT = 10_000  # characters of a comment
_CREATES = {
    "CATALOG": "CREATE_CATALOG",
    "SCHEMA": "CREATE_SCHEMA",
    "TABLE": "CREATE_TABLE",
    "FUNCTION": "CREATE_FUNCTION",
}
_ABOVE = {"CATALOG": "METASTORE", "SCHEMA": "CATALOG"}
_TAG_KEY = re.compile(r"[^\x00-\x1f\x7f.,\-=/:]{1,127}")


@dataclass(frozen=True)
class Change:
    """What is granted to one principal and taken from it."""

    principal: str
    add: frozenset[str] = frozenset()
    remove: frozenset[str] = frozenset()


def who(ctx: Context) -> Who:
    """The caller as privileges see it."""
    return Who.of(ctx.caller.user_name, ctx.caller.groups, ctx.caller.is_admin)


def create(ctx: Context, kind: str, parts: Sequence[str], **fields: object) -> Object:
    """Make an object, owned by the caller; `fields` are further ones of Object, `id` too. Raises AlreadyExists, PermissionDenied, InvalidParameter.

    A location of one's own is for metastore admins: whoever may name any folder could name another table's.
    """
    catalog = store.read(ctx.db)
    name = full_name(parts, kind)
    above = name.rpartition(".")[0]
    catalog.require(who(ctx), _ABOVE.get(kind, "SCHEMA"), above or METASTORE, _CREATES[kind])
    if catalog.find(kind, name):
        raise AlreadyExists(f"{kind.capitalize()} '{name}' already exists.")
    if name.rpartition(".")[2] == "information_schema":
        raise InvalidParameter(
            f"'{name}' is not allowed: every catalog has an information_schema of its own."
        )
    if len(catalog.objects) >= MAX_OBJECTS:
        raise InvalidState(f"The metastore holds {MAX_OBJECTS:,} objects, which is all that it takes.")
    me, id = ctx.caller.user_name, str(fields.pop("id", uuid.uuid4()))
    stamps = {"created_at": ctx.now, "created_by": me, "updated_at": ctx.now, "updated_by": me}
    made = Object(kind, name, me, id, **stamps, **fields)  # type: ignore[arg-type]
    _check_comment(made.comment)
    if made.location is not None:
        made = replace(made, location=own_location(ctx, catalog, made.location))
    elif kind == "TABLE" and not made.is_view:
        made = replace(made, location=str(managed_folder(ctx.home, made.id, name)))
    store.save(ctx.db, made)
    return made


def managed_folder(home: Path, id: str, name: str) -> Path:
    """Where the files of a table lie that has no location of its own: a folder of its id, so that nothing is ever found again in it."""
    return home / "catalog" / "tables" / id / name.rpartition(".")[2]


def own_location(ctx: Context, catalog: Catalog, location: str) -> str:
    """The folder that a table is to have. Raises PermissionDenied, InvalidParameter."""
    if not ctx.caller.is_admin:
        raise PermissionDenied(
            f"User does not have CREATE EXTERNAL TABLE on the folder {location!r}: only a metastore admin may name one."
        )
    folder = Path(location.removeprefix("file://").removeprefix("file:"))
    if not folder.is_absolute() or ".." in folder.parts:
        raise InvalidParameter(f"The location {location!r} is no absolute path of a folder on this machine.")
    folder = folder.resolve()
    if folder.is_relative_to(ctx.home.resolve()):
        raise InvalidParameter(
            f"The location {location!r} lies in the workspace's own folder; choose another."
        )
    for each in catalog.objects.values():
        other = Path(each.location).resolve() if each.location else None
        if other and (folder.is_relative_to(other) or other.is_relative_to(folder)):
            raise InvalidParameter(
                f"The location {location!r} overlaps that of {each.kind.lower()} '{each.name}'."
            )
    return str(folder)


def drop(ctx: Context, kind: str, name: str, cascade: bool = False) -> Object:
    """Remove an object, and with `cascade` what lies in it. Raises NotFound, PermissionDenied, InvalidState.

    A managed table's files go with it, once the transaction is kept.
    """
    catalog = store.read(ctx.db)
    catalog.require(who(ctx), kind, name, MANAGE)
    gone = _of_people(catalog.get(kind, name))
    inside = [each for each in catalog.objects.values() if each.name.startswith(f"{gone.name}.")]
    if inside and not cascade:
        raise InvalidState(
            f"{kind.capitalize()} '{gone.name}' is not empty: {inside[0].name} is in it; drop that first, or say CASCADE (force)."
        )
    names = {each.key for each in [gone, *inside]}
    for each in [gone, *inside]:
        users = [user for user in catalog.users_of(each.name) if user.key not in names]
        if each.kind == "FUNCTION" and users:
            raise InvalidState(
                f"Function '{each.name}' protects table '{users[0].name}'; take its filter or mask off first."
            )
        store.remove(ctx.db, *each.key)
        if each.type == "MANAGED" and each.location:
            ctx.after_commit(partial(shutil.rmtree, Path(each.location).parent, ignore_errors=True))
    return gone


def alter(ctx: Context, kind: str, name: str, **fields: object) -> Object:
    """Change fields of an object. Whoever may manage it may; only a new owner has to be somebody. Raises NotFound, PermissionDenied, InvalidParameter."""
    catalog = store.read(ctx.db)
    catalog.require(who(ctx), kind, name, MANAGE)
    found = _of_people(catalog.get(kind, name))
    if owner := fields.get("owner"):
        check_principal(ctx, str(owner))
    changed = replace(found, **fields, updated_at=ctx.now, updated_by=ctx.caller.user_name)  # type: ignore[arg-type]
    _check_comment(changed.comment)
    store.save(ctx.db, changed)
    return changed


def _of_people(found: Object) -> Object:
    if found.parts[0] == "system":
        raise PermissionDenied(
            f"{found.kind.capitalize()} '{found.name}' is the system's, and nobody's to change."
        )
    return found


def change_grants(ctx: Context, kind: str, name: str, changes: Iterable[Change]) -> None:
    """Grant and revoke, all or nothing. Raises PermissionDenied, NotFound, and InvalidParameter for what can't be granted there."""
    catalog = store.read(ctx.db)
    catalog.require(who(ctx), kind, name, MANAGE)
    target = catalog.securable(kind, name)
    grantable = GRANTABLE["VIEW" if kind == "TABLE" and catalog.get(kind, name).is_view else kind]
    add: set[Grant] = set()
    remove: set[Grant] = set()
    for change in changes:
        if change.add:
            check_principal(ctx, change.principal)
        if wrong := sorted((change.add | change.remove) - grantable):
            hint = "; the privilege is USE_CATALOG or USE_SCHEMA today" if "USAGE" in wrong else ""
            raise InvalidParameter(
                f"Privilege {shown(wrong[0])} is not applicable to {kind} '{target.name}'{hint}."
            )
        # Revoking ALL PRIVILEGES takes what was granted one by one as well.
        gone = grantable - {MANAGE} if ALL in change.remove else change.remove
        for rows, privileges in ((add, change.add), (remove, gone)):
            rows |= {Grant(target.kind, target.name, change.principal, privilege) for privilege in privileges}
    store.change_grants(ctx.db, frozenset(add), frozenset(remove))


def check_principal(ctx: Context, name: str) -> None:
    """Raises NotFound unless there is a user, group or service principal of that name."""
    if name != EVERYBODY and not identity.named(ctx, name) and not principals.find(ctx.db, "Group", name):
        raise NotFound(f"Could not find principal with name {name}.")


def set_row_filter(ctx: Context, table: str, function: str, columns: Sequence[str]) -> None:
    """Let callers see only the rows for which the function, given these columns, is true."""
    found = _protectable(ctx, table)
    _check_policy(ctx, found, function, [_column(found, name) for name in columns], returns="boolean")
    row_filter = Policy(function.lower(), tuple(_column(found, name).name for name in columns))
    alter(ctx, "TABLE", table, row_filter=row_filter)


def set_mask(ctx: Context, table: str, column: str, function: str, using: Sequence[str] = ()) -> None:
    """Let callers see what the function makes of a column, given it and the columns after USING COLUMNS."""
    found = _protectable(ctx, table)
    arguments = [_column(found, name) for name in (column, *using)]
    _check_policy(ctx, found, function, arguments, returns=None)
    mask = Policy(function.lower(), tuple(each.name for each in arguments[1:]))
    alter(ctx, "TABLE", table, masks={**found.masks, arguments[0].name.lower(): mask})


def drop_mask(ctx: Context, table: str, column: str) -> None:
    found = store.read(ctx.db).get("TABLE", table)
    if column.lower() not in found.masks:
        raise NotFound(f"Column '{column}' of table '{found.name}' has no mask.")
    masks = {name: mask for name, mask in found.masks.items() if name != column.lower()}
    alter(ctx, "TABLE", table, masks=masks)


def _protectable(ctx: Context, table: str) -> Object:
    catalog = store.read(ctx.db)
    catalog.require(who(ctx), "TABLE", table, MANAGE)
    found = catalog.get("TABLE", table)
    if found.is_view:
        raise InvalidParameter(f"'{found.name}' is a view; row filters and masks are for tables.")
    return found


def _check_policy(
    ctx: Context, table: Object, function: str, arguments: Sequence[Column], returns: str | None
) -> None:
    catalog = store.read(ctx.db)
    catalog.require(who(ctx), "FUNCTION", function, "EXECUTE")
    found = catalog.get("FUNCTION", function)
    if len(found.parameters) != len(arguments):
        raise InvalidParameter(
            f"Function '{found.name}' takes {len(found.parameters)} arguments, and {len(arguments)} columns of '{table.name}' are given."
        )
    if returns and (found.returns or "").lower() != returns:
        raise InvalidParameter(
            f"Function '{found.name}' returns {found.returns}; a row filter has to return {returns}."
        )


def set_column_comment(ctx: Context, table: str, column: str, comment: str | None) -> None:
    found = store.read(ctx.db).get("TABLE", table)
    name = _column(found, column).name.lower()
    _check_comment(comment)
    alter(ctx, "TABLE", table, comments={**found.comments, name: comment or ""})


def set_tags(ctx: Context, kind: str, name: str, column: str, tags: Mapping[str, str]) -> None:
    """Tag an object, or a column of a table. Needs APPLY TAG there, or the right to manage."""
    target, column = _taggable(ctx, kind, name, column)
    for key, value in tags.items():
        if not _TAG_KEY.fullmatch(key) or len(value) > 256 or not value.isprintable():
            raise InvalidParameter(
                f"The tag {key!r} = {value[:40]!r} is not allowed: keys have 1 to 127 characters, none of .,-=/:, and values at most 256."
            )
    store.set_tags(ctx.db, kind, target.name, column, tags)


def unset_tags(ctx: Context, kind: str, name: str, column: str, keys: Sequence[str]) -> None:
    target, column = _taggable(ctx, kind, name, column)
    store.unset_tags(ctx.db, kind, target.name, column, [*keys])


def _taggable(ctx: Context, kind: str, name: str, column: str) -> tuple[Object, str]:
    catalog = store.read(ctx.db)
    found = catalog.get(kind, name)
    if not catalog.may(who(ctx), kind, name, MANAGE):
        catalog.require(who(ctx), kind, name, "APPLY_TAG")
    return found, _column(found, column).name.lower() if column else ""


def _column(table: Object, name: str) -> Column:
    for column in columns_of(table):
        if column.name.lower() == name.lower():
            return column
    raise NotFound(f"Column '{name}' does not exist in table '{table.name}'.")


def _check_comment(comment: str | None) -> None:
    if comment and (len(comment) > MAX_TEXT or any(c < " " and c not in "\n\t" for c in comment)):
        raise InvalidParameter(
            f"A comment is text of at most {MAX_TEXT:,} characters without control characters."
        )
