"""The columns of a table, from its Delta log: true whoever wrote it, and without a JVM."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from labs_lib.workspace.catalog.model import Column, Object

# Delta's names of types that SQL writes otherwise (Delta protocol, "Primitive Types").
_SQL = {"integer": "int", "long": "bigint", "short": "smallint", "byte": "tinyint"}
# ColumnTypeName of the REST API, by SQL's name.
_REST = {"bigint": "LONG", "smallint": "SHORT", "tinyint": "BYTE", "void": "NULL"}


def columns_of(each: Object) -> tuple[Column, ...]:
    """The columns of a table or view, with the comments that the catalog keeps, else those in the table itself."""
    found = () if each.is_view or not each.location else _in_log(Path(each.location))
    columns = found or each.columns
    return tuple(
        Column(
            column.name, column.type, column.nullable, each.comments.get(column.name.lower(), column.comment)
        )
        for column in columns
    )


def _in_log(folder: Path) -> tuple[Column, ...]:
    if not (folder / "_delta_log").is_dir():
        return ()
    from deltalake import DeltaTable  # late: a workspace that is asked for no table starts without it
    from deltalake.exceptions import DeltaError

    try:
        schema = json.loads(DeltaTable(folder).schema().to_json())
    except (DeltaError, OSError):  # between two commits, or gone meanwhile
        return ()
    return tuple(
        Column(field["name"], type_text(field["type"]), field["nullable"], field["metadata"].get("comment"))
        for field in schema["fields"]
    )


def type_text(kind: Any) -> str:
    """A type of Spark's JSON schema as SQL writes it."""
    if isinstance(kind, str):
        return _SQL.get(kind, kind)
    match kind["type"]:
        case "array":
            return f"array<{type_text(kind['elementType'])}>"
        case "map":
            return f"map<{type_text(kind['keyType'])},{type_text(kind['valueType'])}>"
        case _:
            inner = [f"{field['name']}:{type_text(field['type'])}" for field in kind["fields"]]
            return f"struct<{','.join(inner)}>"


def type_name(text: str) -> str:
    """The name of a type's family, as the REST API has it: STRING, LONG, DECIMAL."""
    name = text.split("(")[0].split("<")[0].split(" ")[0].lower()
    return _REST.get(name, name.upper())
