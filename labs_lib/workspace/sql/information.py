"""`information_schema`: the catalog as tables, with what the caller may know of and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from labs_lib.engine.sql import literal
from labs_lib.workspace.catalog.columns import columns_of, type_name
from labs_lib.workspace.catalog.model import Catalog, Object, shown
from labs_lib.workspace.catalog.privileges import MANAGE, Who

Row = tuple[str | int | None, ...]
_NUMBERS = ("ordinal_position",)  # all other columns are strings
_TABLE = "table_catalog table_schema table_name"


@dataclass(frozen=True)
class View:
    """The catalog as one caller may know it: `objects` are those that are seen, in the catalogs that are asked for."""

    catalog: Catalog
    who: Who
    objects: list[Object]

    def of(self, kind: str) -> list[Object]:
        """Those of one kind."""
        return [each for each in self.objects if each.kind == kind]


def query(catalog: Catalog, who: Who, within: str, table: str) -> str | None:
    """The query of `<within>.information_schema.<table>`; `system` has it of all catalogs. None if there is no such table."""
    if table not in _TABLES:
        return None
    objects = catalog.objects.values()
    seen = [each for each in objects if within in ("system", each.parts[0]) and catalog.seen(who, *each.key)]
    columns, make = _TABLES[table]
    names, rows = columns.split(), list(make(View(catalog, who, seen)))
    casts = ", ".join(
        f"CAST({name} AS {'int' if name in _NUMBERS else 'string'}) AS {name}" for name in names
    )
    values = ", ".join(f"({', '.join(map(_value, row))})" for row in rows or [(None,) * len(names)])
    return f"SELECT {casts} FROM VALUES {values} AS t({', '.join(names)}){'' if rows else ' WHERE false'}"


def _value(value: str | int | None) -> str:
    return "NULL" if value is None else str(value) if isinstance(value, int) else literal(value)


def _tables(view: View) -> Iterator[Row]:
    for each in view.of("TABLE"):
        form = None if each.is_view else "DELTA"
        yield (*each.parts, each.type, each.owner, each.comment, each.created_by, form)


def _views(view: View) -> Iterator[Row]:
    for each in view.of("TABLE"):
        if each.is_view:
            yield (*each.parts, each.definition if each.owner in view.who.names else None)


def _columns(view: View) -> Iterator[Row]:
    for each in view.of("TABLE"):
        for place, column in enumerate(columns_of(each)):
            nullable, kind = "YES" if column.nullable else "NO", type_name(column.type)
            yield (*each.parts, column.name, place, nullable, kind, column.type, column.comment)


def _privileges(kind: str) -> Callable[[View], Iterator[Row]]:
    def rows(view: View) -> Iterator[Row]:
        grants = sorted(view.catalog.grants, key=lambda grant: (grant.principal, grant.privilege))
        for each in view.of(kind):
            manages = view.catalog.may(view.who, *each.key, MANAGE)
            for place in view.catalog.securable(*each.key).lineage:
                inherited = "NONE" if place.name == each.name else place.kind
                for grant in grants:
                    told = manages or grant.principal in view.who.names
                    if told and (grant.kind, grant.name) == (place.kind, place.name):
                        privilege = shown(grant.privilege)
                        yield ("System user", grant.principal, *each.parts, privilege, "NO", inherited)

    return rows


def _tags(kind: str, of_columns: bool = False) -> Callable[[View], Iterator[Row]]:
    def rows(view: View) -> Iterator[Row]:
        seen = {each.key for each in view.of(kind)}
        for tag in view.catalog.tags:
            if (tag.kind, tag.name) in seen and bool(tag.column) == of_columns:
                yield (*tag.name.split("."), *([tag.column] if of_columns else []), tag.key, tag.value)

    return rows


def _masks(view: View) -> Iterator[Row]:
    for each in view.objects:
        for column, mask in each.masks.items():
            yield (*each.parts, column, mask.function, ", ".join(mask.columns))


def _filters(view: View) -> Iterator[Row]:
    for each in view.objects:
        if each.row_filter:
            yield (*each.parts, each.row_filter.function, ", ".join(each.row_filter.columns))


def _granted(columns: str) -> str:
    return f"grantor grantee {columns} privilege_type is_grantable inherited_from"


_TABLES: dict[str, tuple[str, Callable[[View], Iterator[Row]]]] = {
    "catalogs": (
        "catalog_name catalog_owner comment",
        lambda view: ((each.name, each.owner, each.comment) for each in view.of("CATALOG")),
    ),
    "schemata": (
        "catalog_name schema_name schema_owner comment",
        lambda view: ((*each.parts, each.owner, each.comment) for each in view.of("SCHEMA")),
    ),
    "tables": (f"{_TABLE} table_type table_owner comment created_by data_source_format", _tables),
    "views": (f"{_TABLE} view_definition", _views),
    "columns": (
        f"{_TABLE} column_name ordinal_position is_nullable data_type full_data_type comment",
        _columns,
    ),
    "routines": (
        "routine_catalog routine_schema routine_name routine_owner data_type comment",
        lambda view: ((*each.parts, each.owner, each.returns, each.comment) for each in view.of("FUNCTION")),
    ),
    "catalog_privileges": (_granted("catalog_name"), _privileges("CATALOG")),
    "schema_privileges": (_granted("catalog_name schema_name"), _privileges("SCHEMA")),
    "table_privileges": (_granted(_TABLE), _privileges("TABLE")),
    "catalog_tags": ("catalog_name tag_name tag_value", _tags("CATALOG")),
    "schema_tags": ("catalog_name schema_name tag_name tag_value", _tags("SCHEMA")),
    "table_tags": ("catalog_name schema_name table_name tag_name tag_value", _tags("TABLE")),
    "column_tags": (
        "catalog_name schema_name table_name column_name tag_name tag_value",
        _tags("TABLE", True),
    ),
    "column_masks": (f"{_TABLE} column_name mask_name mask_col_usage", _masks),
    "row_filters": (f"{_TABLE} filter_name target_columns", _filters),
}
