"""The REST API of Unity Catalog 2.1, as far as exercises use it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import Field

from labs_lib.workspace.catalog import actions, store
from labs_lib.workspace.catalog.columns import columns_of, type_name, type_text
from labs_lib.workspace.catalog.model import METASTORE, Catalog, Column, Object
from labs_lib.workspace.catalog.privileges import MANAGE
from labs_lib.workspace.ground import store as workspace_store
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.endpoints import Endpoint, Model
from labs_lib.workspace.ground.errors import InvalidParameter, PermissionDenied
from labs_lib.workspace.ground.paging import page

API = "/api/2.1/unity-catalog"
PAGE = 1000
PREFIX = {
    "CATALOG": "catalogs",
    "SCHEMA": "schemas",
    "TABLE": "tables",
    "FUNCTION": "functions",
}


class Named(Model):
    full_name: str
    force: bool = False


class Listing(Model):
    catalog_name: str = ""
    schema_name: str = ""
    max_results: int = Field(default=0, ge=0)
    page_token: str | None = None


class NewCatalog(Model):
    name: str
    comment: str | None = None
    properties: dict[str, str] = Field(default_factory=dict, max_length=100)


class NewSchema(NewCatalog):
    catalog_name: str


class ColumnModel(Model):
    name: str = Field(max_length=255)
    type_text: str = Field(default="", max_length=2000)
    type_name: str = ""
    nullable: bool = True
    comment: str | None = Field(default=None, max_length=actions.MAX_TEXT)


class NewTable(Model):
    name: str
    catalog_name: str
    schema_name: str
    table_type: str = Field(pattern="^EXTERNAL$")
    data_source_format: str = Field(pattern="^DELTA$")
    storage_location: str
    columns: list[ColumnModel] = Field(default_factory=list, max_length=2000)
    properties: dict[str, str] = Field(default_factory=dict, max_length=100)


class Update(Model):
    """What can be changed of any object. A new name is refused rather than ignored: grants, views and masks would lose it."""

    full_name: str
    owner: str | None = None
    comment: str | None = None
    properties: dict[str, str] | None = Field(default=None, max_length=100)
    new_name: str | None = None


class OfSecurable(Model):
    securable_type: str
    full_name: str
    principal: str | None = None


class ChangeModel(Model):
    principal: str = Field(max_length=255)
    add: list[str] = Field(default_factory=list, max_length=100)
    remove: list[str] = Field(default_factory=list, max_length=100)


class Permissions(OfSecurable):
    changes: list[ChangeModel] = Field(default_factory=list, max_length=1000)


# What is shown


def info(ctx: Context, each: Object) -> dict[str, Any]:
    """An object as the API shows it."""
    names = dict(zip(("catalog_name", "schema_name"), each.parts[:-1], strict=False))
    same = ("owner", "comment", "created_at", "created_by", "updated_at", "updated_by", "properties")
    shown: dict[str, Any] = {
        **names,
        **{name: getattr(each, name) for name in same},
        **{"name": each.parts[-1], "full_name": each.name, f"{each.kind.lower()}_id": each.id},
        **{"metastore_id": metastore_id(ctx), "storage_location": each.location},
    }
    match each.kind:
        case "CATALOG":
            shown |= {"catalog_type": "MANAGED_CATALOG", "securable_type": "CATALOG"}
        case "TABLE":
            shown |= {
                "table_type": each.type,
                "data_source_format": None if each.is_view else "DELTA",
                "columns": [_column(each, column, place) for place, column in enumerate(columns_of(each))],
                "view_definition": each.definition,
            }
            if rows := each.row_filter:
                shown["row_filter"] = {"function_name": rows.function, "input_column_names": [*rows.columns]}
        case "FUNCTION":
            shown |= {
                "data_type": type_name(each.returns or ""),
                "full_data_type": each.returns,
                "routine_body": "SQL",
                "routine_definition": each.definition,
                "input_params": {
                    "parameters": [_column(each, taken, place) for place, taken in enumerate(each.parameters)]
                },
            }
    return {name: value for name, value in shown.items() if value is not None}


def _column(each: Object, column: Column, place: int) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": column.name,
        "type_text": column.type,
        "type_name": type_name(column.type),
        "position": place,
        "nullable": column.nullable,
        "comment": column.comment,
    }
    if mask := each.masks.get(column.name.lower()):
        shown["mask"] = {"function_name": mask.function, "using_column_names": [*mask.columns]}
    return shown


def metastore_id(ctx: Context) -> str:
    """The metastore's id: one workspace has one."""
    return f"metastore-{workspace_store.setting(ctx.db, 'workspace_id')}"


# Objects


def _get(kind: str) -> Callable[[Context, Named], Mapping[str, Any]]:
    def handle(ctx: Context, asked: Named) -> Mapping[str, Any]:
        catalog = store.read(ctx.db)
        found = catalog.get(kind, asked.full_name)
        if not catalog.seen(actions.who(ctx), kind, found.name):
            raise PermissionDenied(
                f"User does not have any privilege on {kind.lower()} '{found.name}', BROWSE neither."
            )
        return info(ctx, found)

    return handle


def _delete(kind: str) -> Callable[[Context, Named], None]:
    def handle(ctx: Context, asked: Named) -> None:
        actions.drop(ctx, kind, asked.full_name, asked.force)

    return handle


def _list(kind: str) -> Callable[[Context, Listing], Mapping[str, Any]]:
    def handle(ctx: Context, asked: Listing) -> Mapping[str, Any]:
        catalog = store.read(ctx.db)
        found = visible(catalog, actions.who(ctx), _within(catalog, kind, asked))
        size = min(asked.max_results or PAGE, PAGE)
        scope = f"{kind} {asked.catalog_name}.{asked.schema_name}"
        items, more = page(ctx, scope, found, lambda each: [each.name], size, asked.page_token)
        return {PREFIX[kind]: [info(ctx, each) for each in items], **more}

    return handle


def _within(catalog: Catalog, kind: str, asked: Listing) -> list[Object]:
    if kind == "CATALOG":
        return [each for each in catalog.objects.values() if each.kind == kind]
    parent = catalog.get("CATALOG", asked.catalog_name).name
    if kind != "SCHEMA":
        parent = catalog.get("SCHEMA", f"{parent}.{asked.schema_name}").name
    return catalog.children(parent, kind)


def visible(catalog: Catalog, who: actions.Who, found: Iterable[Object]) -> list[Object]:
    """Those of them that the caller may know of."""
    return [each for each in found if catalog.seen(who, *each.key)]


def _update(kind: str) -> Callable[[Context, Update], Mapping[str, Any]]:
    def handle(ctx: Context, asked: Update) -> Mapping[str, Any]:
        if asked.new_name is not None:
            raise InvalidParameter("new_name is not offered here: make a new object and move what is in it.")
        changes = asked.model_dump(include={"owner", "comment", "properties"}, exclude_none=True)
        return info(ctx, actions.alter(ctx, kind, asked.full_name, **changes))

    return handle


def _create_catalog(ctx: Context, asked: NewCatalog) -> Mapping[str, Any]:
    made = actions.create(ctx, "CATALOG", [asked.name], comment=asked.comment, properties=asked.properties)
    actions.create(ctx, "SCHEMA", [made.name, "default"], comment="Default schema (auto-created)")
    return info(ctx, made)


def _create_schema(ctx: Context, asked: NewSchema) -> Mapping[str, Any]:
    parts = [asked.catalog_name, asked.name]
    return info(ctx, actions.create(ctx, "SCHEMA", parts, comment=asked.comment, properties=asked.properties))


def _create_table(ctx: Context, asked: NewTable) -> Mapping[str, Any]:
    columns = tuple(
        Column(each.name, type_text(each.type_text or each.type_name.lower()), each.nullable, each.comment)
        for each in asked.columns
    )
    parts = [asked.catalog_name, asked.schema_name, asked.name]
    fields = {"location": asked.storage_location, "columns": columns, "properties": asked.properties}
    return info(ctx, actions.create(ctx, "TABLE", parts, type="EXTERNAL", **fields))


def _exists(ctx: Context, asked: Named) -> Mapping[str, Any]:
    catalog = store.read(ctx.db)
    found = catalog.find("TABLE", asked.full_name)
    return {"table_exists": found is not None and catalog.seen(actions.who(ctx), *found.key)}


# Grants


def _securable(asked: OfSecurable) -> tuple[str, str]:
    kind = asked.securable_type.upper()
    if kind not in (*PREFIX, "METASTORE"):
        raise InvalidParameter(
            f"securable_type is {asked.securable_type!r}; it is one of {', '.join(PREFIX).lower()}, metastore."
        )
    return kind, METASTORE if kind == "METASTORE" else asked.full_name.lower()


def _grants(ctx: Context, asked: OfSecurable) -> Mapping[str, Any]:
    kind, name = _securable(asked)
    return {"privilege_assignments": assignments(ctx, kind, name, asked.principal)}


def assignments(ctx: Context, kind: str, name: str, principal: str | None = None) -> list[dict[str, Any]]:
    """What is granted on a securable itself, by principal. Who may not manage it sees what was granted to them and their groups."""
    found: dict[str, list[str]] = {}
    for granted_to, privilege, _, _ in granted(ctx, kind, name, principal, inherited=False):
        found.setdefault(granted_to, []).append(privilege)
    return [{"principal": each, "privileges": found[each]} for each in found]


def granted(
    ctx: Context, kind: str, name: str, principal: str | None, inherited: bool
) -> list[tuple[str, str, str, str]]:
    """Principal, privilege, and kind and name of the securable that it was granted on, sorted."""
    catalog, who = store.read(ctx.db), actions.who(ctx)
    target = catalog.securable(kind, name)
    places = [(each.kind, each.name) for each in target.lineage] if inherited else [(kind, target.name)]
    rows = [
        (each.principal, each.privilege, each.kind, each.name)
        for each in catalog.grants
        if (each.kind, each.name) in places and principal in (None, each.principal)
    ]
    if not catalog.may(who, kind, name, MANAGE):
        rows = [row for row in rows if row[0] in who.names]
    return sorted(rows)


def _effective(ctx: Context, asked: OfSecurable) -> Mapping[str, Any]:
    kind, name = _securable(asked)
    found: dict[str, list[dict[str, str]]] = {}
    for principal, privilege, of_kind, of_name in granted(ctx, kind, name, asked.principal, inherited=True):
        origin = {} if of_kind == kind else {"inherited_from_type": of_kind, "inherited_from_name": of_name}
        found.setdefault(principal, []).append({"privilege": privilege, **origin})
    return {"privilege_assignments": [{"principal": each, "privileges": found[each]} for each in found]}


def _change_grants(ctx: Context, asked: Permissions) -> Mapping[str, Any]:
    kind, name = _securable(asked)
    changes = [
        actions.Change(
            change.principal,
            frozenset(map(_privilege, change.add)),
            frozenset(map(_privilege, change.remove)),
        )
        for change in asked.changes
    ]
    actions.change_grants(ctx, kind, name, changes)
    return {"privilege_assignments": assignments(ctx, kind, name)}


def _privilege(text: str) -> str:
    return text.strip().upper().replace(" ", "_")


def _of(kind: str, create: Callable[..., Mapping[str, Any]] | None, model: type[Model]) -> list[Endpoint]:
    word = kind.capitalize()
    path = f"{API}/{PREFIX[kind]}"
    found = [
        Endpoint("GET", path, _list(kind), Listing),
        Endpoint("GET", f"{path}/{{full_name}}", _get(kind), Named, ("unityCatalog", f"get{word}")),
        Endpoint("PATCH", f"{path}/{{full_name}}", _update(kind), Update, ("unityCatalog", f"update{word}")),
        Endpoint("DELETE", f"{path}/{{full_name}}", _delete(kind), Named, ("unityCatalog", f"delete{word}")),
    ]
    return found + (
        [Endpoint("POST", path, create, model, ("unityCatalog", f"create{word}"))] if create else []
    )


ENDPOINTS = (
    *_of("CATALOG", _create_catalog, NewCatalog),
    *_of("SCHEMA", _create_schema, NewSchema),
    *_of("TABLE", _create_table, NewTable),
    *_of("FUNCTION", None, Model),
    Endpoint("GET", f"{API}/tables/{{full_name}}/exists", _exists, Named),
    Endpoint("GET", f"{API}/permissions/{{securable_type}}/{{full_name}}", _grants, OfSecurable, ("unityCatalog", "getPermissions")),
    Endpoint("PATCH", f"{API}/permissions/{{securable_type}}/{{full_name}}", _change_grants, Permissions, ("unityCatalog", "updatePermissions")),
    Endpoint("GET", f"{API}/effective-permissions/{{securable_type}}/{{full_name}}", _effective, OfSecurable, ("unityCatalog", "getEffectivePermissions")),
)  # fmt: skip
