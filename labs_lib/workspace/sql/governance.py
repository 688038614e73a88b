"""Governance statements, done: by the catalog's actions, in the caller's transaction, without Spark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labs_lib.workspace.catalog import actions, routes, store
from labs_lib.workspace.catalog.columns import columns_of
from labs_lib.workspace.catalog.model import METASTORE, shown
from labs_lib.workspace.ground import audit
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.errors import AlreadyExists, NotFound, PermissionDenied
from labs_lib.workspace.sql.grammar import Command
from labs_lib.workspace.sql.rewrite import Scope, resolved

Row = list[str | None]


@dataclass(frozen=True)
class Table:
    """An answer: names of columns, all of them strings, and rows."""

    columns: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()


def perform(ctx: Context, command: Command, catalog: str, schema: str) -> Table:
    """Do it. Names of fewer parts are looked for in that catalog and schema. Raises what the catalog's actions raise."""
    scope = Scope(actions.who(ctx), catalog, schema)
    answer = _VERBS[command.verb](ctx, command, scope)
    if told := _AUDIT.get(command.verb):
        action = ("unityCatalog", told)
        audit.write(ctx.db, ctx.now, ctx.caller.user_name, action, _told(command), ctx.request)
    return answer or Table()


_AUDIT = {
    **dict.fromkeys(("grant", "revoke", "grant_metastore", "revoke_metastore"), "updatePermissions"),
    "create_catalog": "createCatalog",
    "create_schema": "createSchema",
    "drop": "deleteSecurable",
    **dict.fromkeys(("set_tags", "unset_tags"), "updateTagAssignments"),
    **dict.fromkeys(("owner", "set_filter", "drop_filter", "set_mask", "drop_mask"), "updateSecurable"),
    **dict.fromkeys(("comment", "comment_column", "alter_comment"), "updateSecurable"),
}


def _told(command: Command) -> dict[str, object]:
    return {
        "securable_type": command.kind,
        "securable_full_name": ".".join(command.name),
        "operation": command.verb,
        "principal": command.principal,
        "privileges": sorted(command.privileges) or None,
        "function": ".".join(command.function) or None,
        "column": command.column or None,
    }


def full(command: Command, scope: Scope, name: Sequence[str] | None = None) -> str:
    """The full name of what a command speaks of."""
    parts = [*(command.name if name is None else name)]
    if command.kind == "CATALOG":
        return ".".join(parts).lower()
    if command.kind == "SCHEMA":
        return ".".join(parts if len(parts) > 1 else [scope.catalog, *parts]).lower()
    return resolved(parts, scope)


def _change(ctx: Context, command: Command, scope: Scope) -> None:
    metastore = command.verb.endswith("_metastore")
    kind, name = ("METASTORE", METASTORE) if metastore else (command.kind, full(command, scope))
    add, remove = (
        (command.privileges, frozenset[str]())
        if command.verb.startswith("grant")
        else (frozenset[str](), command.privileges)
    )
    actions.change_grants(ctx, kind, name, [actions.Change(command.principal or "", add, remove)])


def _show_grants(ctx: Context, command: Command, scope: Scope) -> Table:
    rows = routes.granted(ctx, command.kind, full(command, scope), command.principal, inherited=True)
    found: list[Row] = [
        [principal, shown(privilege), kind, name] for principal, privilege, kind, name in rows
    ]
    return Table(("Principal", "ActionType", "ObjectType", "ObjectKey"), tuple(found))


def _create(kind: str) -> Callable[[Context, Command, Scope], None]:
    def create(ctx: Context, command: Command, scope: Scope) -> None:
        parts = [*command.name]
        if kind == "SCHEMA" and len(parts) == 1:
            parts = [scope.catalog, *parts]
        try:
            actions.create(ctx, kind, parts, comment=command.text)
        except AlreadyExists:
            if not command.lenient:
                raise
            return
        if kind == "CATALOG":
            actions.create(ctx, "SCHEMA", [*parts, "default"], comment="Default schema (auto-created)")

    return create


def _drop(ctx: Context, command: Command, scope: Scope) -> None:
    try:
        actions.drop(ctx, command.kind, full(command, scope), command.cascade)
    except NotFound:
        if not command.lenient:
            raise


def _alter(ctx: Context, command: Command, scope: Scope) -> None:
    name, column = full(command, scope), command.column
    match command.verb:
        case "owner":
            actions.alter(ctx, command.kind, name, owner=command.principal)
        case "comment":
            actions.alter(ctx, command.kind, name, comment=command.text)
        case "set_filter":
            actions.set_row_filter(ctx, name, resolved(command.function, scope), command.columns)
        case "drop_filter":
            actions.alter(ctx, "TABLE", name, row_filter=None)
        case "set_mask":
            actions.set_mask(ctx, name, column, resolved(command.function, scope), command.columns)
        case "drop_mask":
            actions.drop_mask(ctx, name, column)
        case "set_tags":
            actions.set_tags(ctx, command.kind, name, column, command.tags)
        case "unset_tags":
            actions.unset_tags(ctx, command.kind, name, column, [*command.tags])


def _comment_column(ctx: Context, command: Command, scope: Scope) -> None:
    column = command.column or command.name[-1]
    table = full(command, scope, command.name if command.column else command.name[:-1])
    actions.set_column_comment(ctx, table, column, command.text)


def _visible(ctx: Context, scope: Scope, kind: str, parent: str) -> list[str]:
    catalog = store.read(ctx.db)
    every = [each for each in catalog.objects.values() if each.kind == kind]
    found = catalog.children(parent, kind) if parent else every
    return sorted(each.parts[-1] for each in routes.visible(catalog, scope.who, found))


def _show_catalogs(ctx: Context, command: Command, scope: Scope) -> Table:
    return Table(("catalog",), tuple([name] for name in _visible(ctx, scope, "CATALOG", "")))


def _show_schemas(ctx: Context, command: Command, scope: Scope) -> Table:
    parent = store.read(ctx.db).get("CATALOG", command.name[0] if command.name else scope.catalog).name
    return Table(("databaseName",), tuple([name] for name in _visible(ctx, scope, "SCHEMA", parent)))


def _show_tables(ctx: Context, command: Command, scope: Scope) -> Table:
    parts = [*command.name] or [scope.catalog, scope.schema]
    parent = ".".join(parts if len(parts) == 2 else [scope.catalog, *parts])
    schema = store.read(ctx.db).get("SCHEMA", parent).parts[-1]
    rows: list[Row] = [[schema, name, "false"] for name in _visible(ctx, scope, "TABLE", parent)]
    return Table(("database", "tableName", "isTemporary"), tuple(rows))


def _describe(ctx: Context, command: Command, scope: Scope) -> Table:
    catalog = store.read(ctx.db)
    found = catalog.get("TABLE", full(command, scope))
    if not catalog.seen(scope.who, found.kind, found.name):
        raise PermissionDenied(f"User does not have any privilege on table '{found.name}', BROWSE neither.")
    rows = tuple([column.name, column.type, column.comment] for column in columns_of(found))
    return Table(("col_name", "data_type", "comment"), rows)


_VERBS: dict[str, Callable[[Context, Command, Scope], Table | None]] = {
    **dict.fromkeys(("grant", "grant_metastore", "revoke", "revoke_metastore"), _change),
    **dict.fromkeys(("owner", "comment", "set_filter", "drop_filter"), _alter),
    **dict.fromkeys(("set_mask", "drop_mask", "set_tags", "unset_tags"), _alter),
    **dict.fromkeys(("comment_column", "alter_comment"), _comment_column),
    "show_grants": _show_grants,
    "create_catalog": _create("CATALOG"),
    "create_schema": _create("SCHEMA"),
    "drop": _drop,
    "show_catalogs": _show_catalogs,
    "show_schemas": _show_schemas,
    "show_tables": _show_tables,
    "describe": _describe,
}
