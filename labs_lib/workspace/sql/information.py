"""`information_schema`: the catalog as tables, with what the caller may know of and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from labs_lib.engine.sql import literal
from labs_lib.workspace.catalog.columns import columns_of, type_name
from labs_lib.workspace.catalog.model import Catalog, Object, shown
from labs_lib.workspace.catalog.privileges import MANAGE, Who

Row = tuple[str | int | None, ...]
Found = tuple[str, list[Row]]  # columns with types, and rows


def query(catalog: Catalog, who: Who, within: str, table: str) -> str | None:
    """The query of `<within>.information_schema.<table>`; `system` has it of all catalogs. None if there is no such table."""
    make = _TABLES.get(table)
    if make is None:
        return None
    inside = [
        each
        for each in catalog.objects.values()
        if within in ("system", each.parts[0]) and catalog.seen(who, *each.key)
    ]
    columns, rows = make(catalog, who, inside)
    names = [column.split()[0] for column in columns.split(", ")]
    casts = ", ".join(
        f"CAST({column.split()[0]} AS {column.split()[1]}) AS {column.split()[0]}"
        for column in columns.split(", ")
    )
    if not rows:
        return f"SELECT {casts} FROM VALUES ({', '.join(['NULL'] * len(names))}) AS t({', '.join(names)}) WHERE false"
    values = ", ".join(f"({', '.join(map(_value, row))})" for row in rows)
    return f"SELECT {casts} FROM VALUES {values} AS t({', '.join(names)})"


def _value(value: str | int | None) -> str:
    return "NULL" if value is None else str(value) if isinstance(value, int) else literal(value)


def _of(objects: Iterable[Object], *kinds: str) -> list[Object]:
    return [each for each in objects if each.kind in kinds]


def _catalogs(catalog: Catalog, who: Who, objects: list[Object]) -> Found:
    return "catalog_name string, catalog_owner string, comment string", [
        (each.name, each.owner, each.comment) for each in _of(objects, "CATALOG")
    ]


def _schemata(catalog: Catalog, who: Who, objects: list[Object]) -> Found:
    return "catalog_name string, schema_name string, schema_owner string, comment string", [
        (*each.parts, each.owner, each.comment) for each in _of(objects, "SCHEMA")
    ]


def _tables(catalog: Catalog, who: Who, objects: list[Object]) -> Found:
    return (
        "table_catalog string, table_schema string, table_name string, table_type string, table_owner string, comment string, "
        "created_by string, data_source_format string",
        [
            (
                *each.parts,
                each.type,
                each.owner,
                each.comment,
                each.created_by,
                None if each.is_view else "DELTA",
            )
            for each in _of(objects, "TABLE")
        ],
    )


def _views(catalog: Catalog, who: Who, objects: list[Object]) -> Found:
    views = [each for each in _of(objects, "TABLE") if each.is_view]
    return "table_catalog string, table_schema string, table_name string, view_definition string", [
        (*each.parts, each.definition if each.owner in who.names else None) for each in views
    ]


def _columns(catalog: Catalog, who: Who, objects: list[Object]) -> Found:
    rows: list[Row] = []
    for each in _of(objects, "TABLE"):
        for place, column in enumerate(columns_of(each)):
            nullable = "YES" if column.nullable else "NO"
            rows.append(
                (
                    *each.parts,
                    column.name,
                    place,
                    nullable,
                    type_name(column.type),
                    column.type,
                    column.comment,
                )
            )
    return (
        "table_catalog string, table_schema string, table_name string, column_name string, ordinal_position int, is_nullable string, "
        "data_type string, full_data_type string, comment string",
        rows,
    )


def _routines(catalog: Catalog, who: Who, objects: list[Object]) -> Found:
    return (
        "routine_catalog string, routine_schema string, routine_name string, routine_owner string, data_type string, comment string",
        [(*each.parts, each.owner, each.returns, each.comment) for each in _of(objects, "FUNCTION")],
    )


def _volumes(catalog: Catalog, who: Who, objects: list[Object]) -> Found:
    return (
        "volume_catalog string, volume_schema string, volume_name string, volume_type string, volume_owner string, comment string",
        [(*each.parts, each.type, each.owner, each.comment) for each in _of(objects, "VOLUME")],
    )


def _privileges(kind: str, columns: str) -> Callable[[Catalog, Who, list[Object]], Found]:
    def rows(catalog: Catalog, who: Who, objects: list[Object]) -> Found:
        found: list[Row] = []
        for each in _of(objects, kind):
            manages = catalog.may(who, *each.key, MANAGE)
            for place in catalog.securable(*each.key).lineage:
                inherited = "NONE" if place.name == each.name else place.kind
                found += [
                    ("System user", grant.principal, *each.parts, shown(grant.privilege), "NO", inherited)
                    for grant in sorted(catalog.grants, key=lambda grant: (grant.principal, grant.privilege))
                    if (grant.kind, grant.name) == (place.kind, place.name)
                    and (manages or grant.principal in who.names)
                ]
        return (
            f"grantor string, grantee string, {columns}, privilege_type string, is_grantable string, inherited_from string",
            found,
        )

    return rows


def _tags(kind: str, columns: str) -> Callable[[Catalog, Who, list[Object]], Found]:
    def rows(catalog: Catalog, who: Who, objects: list[Object]) -> Found:
        of_columns = kind == "COLUMN"
        seen = {each.key for each in objects}
        found: list[Row] = [
            (*tag.name.split("."), *([tag.column] if of_columns else []), tag.key, tag.value)
            for tag in catalog.tags
            if (tag.kind, tag.name) in seen
            and bool(tag.column) == of_columns
            and tag.kind == ("TABLE" if of_columns else kind)
        ]
        return f"{columns}, tag_name string, tag_value string", found

    return rows


def _masks(catalog: Catalog, who: Who, objects: list[Object]) -> Found:
    return (
        "table_catalog string, table_schema string, table_name string, column_name string, mask_name string, mask_col_usage string",
        [
            (*each.parts, column, mask.function, ", ".join(mask.columns))
            for each in objects
            for column, mask in each.masks.items()
        ],
    )


def _filters(catalog: Catalog, who: Who, objects: list[Object]) -> Found:
    return (
        "table_catalog string, table_schema string, table_name string, filter_name string, target_columns string",
        [
            (*each.parts, each.row_filter.function, ", ".join(each.row_filter.columns))
            for each in objects
            if each.row_filter
        ],
    )


_TABLES: dict[str, Callable[[Catalog, Who, list[Object]], Found]] = {
    "catalogs": _catalogs,
    "schemata": _schemata,
    "tables": _tables,
    "views": _views,
    "columns": _columns,
    "routines": _routines,
    "volumes": _volumes,
    "catalog_privileges": _privileges("CATALOG", "catalog_name string"),
    "schema_privileges": _privileges("SCHEMA", "catalog_name string, schema_name string"),
    "table_privileges": _privileges("TABLE", "table_catalog string, table_schema string, table_name string"),
    "catalog_tags": _tags("CATALOG", "catalog_name string"),
    "schema_tags": _tags("SCHEMA", "catalog_name string, schema_name string"),
    "table_tags": _tags("TABLE", "catalog_name string, schema_name string, table_name string"),
    "column_tags": _tags(
        "COLUMN", "catalog_name string, schema_name string, table_name string, column_name string"
    ),
    "column_masks": _masks,
    "row_filters": _filters,
}
