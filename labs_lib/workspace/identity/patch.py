"""SCIM's partial updates (RFC 7644, 3.5.2) and filters (3.4.2.2), as far as Databricks takes them: pure functions on attributes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from pydantic import field_validator

from labs_lib.workspace.ground.endpoints import Model
from labs_lib.workspace.ground.errors import InvalidParameter

LISTS = frozenset({"members", "entitlements", "roles", "emails", "groups"})
SELECTED = re.compile(r"""^(\w+)\[value eq ["']([^"']*)["']\]$""")
TERM = re.compile(
    r"""\s*([\w.]+)\s+(eq|ne|co|sw)\s+(?:"([^"]*)"|'([^']*)'|(true|false|[\w@.+-]+))\s*""", re.IGNORECASE
)


class Operation(Model):
    """One operation: with a path, or with a value that names the attributes."""

    op: Literal["add", "remove", "replace"]
    path: str | None = None
    value: Any = None

    @field_validator("op", mode="before")
    @classmethod
    def _lower(cls, op: Any) -> Any:
        return op.lower() if isinstance(op, str) else op


def patched(attributes: Mapping[str, Any], operations: Sequence[Operation]) -> dict[str, Any]:
    """The attributes after these operations. Raises InvalidParameter, which names the operation."""
    found = dict(attributes)
    for number, operation in enumerate(operations, 1):
        where = f"Operations.{number}"
        if operation.path is None:
            if not isinstance(operation.value, Mapping):
                raise InvalidParameter(
                    f"{where} has neither a path nor a value that names attributes; write for example "
                    'value={"active": false}, which the SDK sends, as it leaves out a value of False.'
                )
            for name, value in operation.value.items():
                _apply(found, operation.op, name, value, where)
        elif selected := SELECTED.match(operation.path):
            if operation.op != "remove":
                raise InvalidParameter(
                    f"{where} has the path {operation.path!r}, which only op remove may have."
                )
            _apply(found, "remove", selected[1], [{"value": selected[2]}], where)
        else:
            if operation.value is None and operation.op != "remove":
                raise InvalidParameter(
                    f"{where} would {operation.op} {operation.path} and has no value; the SDK leaves out a value of False or an "
                    f"empty one: give value={{{operation.path!r}: ...}} without a path."
                )
            _apply(found, operation.op, operation.path, operation.value, where)
    return found


def _apply(found: dict[str, Any], op: str, name: str, value: Any, where: str) -> None:
    outer, _, inner = name.partition(".")
    if inner:
        value = {**(found.get(outer) or {}), inner: value}
        name = outer
    if name not in LISTS:
        if op == "remove":
            found.pop(name, None)
        else:
            found[name] = value
        return
    given = _values(value, name, where)
    held: list[dict[str, Any]] = list(found.get(name) or [])
    known = {each["value"] for each in given}
    if op == "replace":
        found[name] = given
    elif op == "add":
        found[name] = [each for each in held if each["value"] not in known] + given
    else:
        found[name] = [] if value is None else [each for each in held if each["value"] not in known]


def _values(value: Any, name: str, where: str) -> list[dict[str, Any]]:
    listed = value if isinstance(value, list) else [] if value is None else [value]
    given = [{"value": each} if isinstance(each, str) else each for each in listed]
    for each in given:
        if not isinstance(each, dict) or not isinstance(each.get("value"), str):
            raise InvalidParameter(f'{where} gives {name} something other than a list of {{"value": "..."}}.')
    return given


def selecting(text: str) -> Callable[[Mapping[str, Any]], bool]:
    """A filter such as `userName eq "ana@example.com"`: one comparison by eq, ne, co or sw. Attributes and texts are compared in whatever
    case of letters. Raises InvalidParameter if it is no such filter.
    """
    term = TERM.fullmatch(text)
    if term is None:
        raise InvalidParameter(
            f'filter is {text[:200]!r}; it should be such as userName eq "ana@example.com", with eq, ne, co or sw.'
        )
    name, op, *texts = (part.lower() for part in term.groups() if part is not None)
    return lambda attributes: _holds(attributes, name, op, "".join(texts))


def _holds(attributes: Mapping[str, Any], name: str, op: str, wanted: str) -> bool:
    outer, _, inner = name.partition(".")
    value = {key.lower(): value for key, value in attributes.items()}.get(outer)
    if isinstance(value, list):
        texts = [str(each.get(inner or "value", "")).lower() for each in value]
    elif isinstance(value, dict):
        texts = [str({key.lower(): part for key, part in value.items()}.get(inner, "")).lower()]
    else:
        texts = ["" if value is None else str(value).lower()]
    if op in ("eq", "ne"):
        return (wanted in texts) == (op == "eq")
    return any(wanted in text if op == "co" else text.startswith(wanted) for text in texts)
