"""The catalog as it is at one moment: objects, grants and tags, and what can be asked of them without a store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from labs_lib.workspace.catalog.privileges import MANAGE, Grant, Securable, Who, missing, sees
from labs_lib.workspace.ground.errors import InvalidParameter, NotFound, PermissionDenied

KINDS = ("CATALOG", "SCHEMA", "TABLE", "FUNCTION")
_DEPTH = {"METASTORE": 0, "CATALOG": 1, "SCHEMA": 2, "TABLE": 3, "FUNCTION": 3}
METASTORE = "metastore"
SYSTEM_OWNER = "System user"

Key = tuple[str, str]


@dataclass(frozen=True)
class Column:
    """A column as people see it. `type` is Spark's type text, such as `decimal(10,2)`."""

    name: str
    type: str
    nullable: bool = True
    comment: str | None = None


@dataclass(frozen=True)
class Policy:
    """A row filter or a column mask: a function's full name and the columns that it is called with (a mask's own comes first, unsaid)."""

    function: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Object:
    """An object of the catalog. `name` is full and in lower case; `kind` one of KINDS.

    `location` is the folder of a table's files. `definition` is a view's query or a function's body. `columns` are a view's, or what
    a table was declared with; a table that has a Delta log says itself what it has. `parameters` and `returns` are a function's.
    """

    kind: str
    name: str
    owner: str
    id: str = ""
    comment: str | None = None
    created_at: int = 0
    created_by: str = ""
    updated_at: int = 0
    updated_by: str = ""
    type: str = ""  # MANAGED, EXTERNAL, VIEW
    location: str | None = None
    definition: str | None = None
    columns: tuple[Column, ...] = ()
    parameters: tuple[Column, ...] = ()
    returns: str | None = None
    comments: Mapping[str, str] = field(default_factory=dict)  # of columns
    masks: Mapping[str, Policy] = field(default_factory=dict)
    row_filter: Policy | None = None
    properties: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        return self.kind, self.name

    @property
    def parts(self) -> list[str]:
        return self.name.split(".")

    @property
    def is_view(self) -> bool:
        return self.type == "VIEW"

    @property
    def is_protected(self) -> bool:
        """Whether callers may see less of it than it holds."""
        return bool(self.masks or self.row_filter)

    @property
    def functions(self) -> frozenset[str]:
        """The functions that its filter and masks call."""
        policies = [*self.masks.values(), *([self.row_filter] if self.row_filter else [])]
        return frozenset(policy.function for policy in policies)


@dataclass(frozen=True)
class Tag:
    """A tag of an object, or of one of its columns."""

    kind: str
    name: str
    column: str
    key: str
    value: str


@dataclass(frozen=True)
class Catalog:
    """All of it at one moment."""

    objects: Mapping[Key, Object]
    grants: frozenset[Grant]
    tags: tuple[Tag, ...] = ()

    def find(self, kind: str, name: str) -> Object | None:
        return self.objects.get((kind, name.lower()))

    def get(self, kind: str, name: str) -> Object:
        """The object of that kind and full name. Raises NotFound."""
        found = self.find(kind, name)
        if found is None:
            raise NotFound(f"{kind.capitalize()} '{name}' does not exist.")
        return found

    def children(self, parent: str, *kinds: str) -> list[Object]:
        """What lies directly in the catalog or schema of that name, by name."""
        prefix, depth = f"{parent.lower()}.", parent.count(".") + 1
        found = [
            each
            for each in self.objects.values()
            if each.name.startswith(prefix) and each.name.count(".") == depth
        ]
        return sorted((each for each in found if not kinds or each.kind in kinds), key=lambda each: each.key)

    def securable(self, kind: str, name: str) -> Securable:
        """It, with its parents, as privileges see it. Raises NotFound."""
        if kind == "METASTORE":
            return Securable("METASTORE", METASTORE, SYSTEM_OWNER)
        found = self.get(kind, name)
        above = name.lower().rpartition(".")[0]
        parent_kind = ("METASTORE", "CATALOG", "SCHEMA")[_DEPTH[kind] - 1]
        return Securable(kind, found.name, found.owner, self.securable(parent_kind, above))

    def require(self, who: Who, kind: str, name: str, privilege: str) -> None:
        """Raises PermissionDenied, which names the first thing that is missing on the way, or NotFound."""
        if lacks := missing(self.securable(kind, name), privilege, who, self.grants):
            raise denied(*lacks)

    def may(self, who: Who, kind: str, name: str, privilege: str) -> bool:
        return missing(self.securable(kind, name), privilege, who, self.grants) is None

    def seen(self, who: Who, kind: str, name: str) -> bool:
        """Whether the caller may know of it."""
        return sees(self.securable(kind, name), who, self.grants)

    def tagged(self, kind: str, name: str, column: str = "") -> dict[str, str]:
        return {
            tag.key: tag.value
            for tag in self.tags
            if (tag.kind, tag.name, tag.column) == (kind, name, column)
        }

    def users_of(self, function: str) -> list[Object]:
        """The tables whose filter or masks call that function."""
        return [each for each in self.objects.values() if function in each.functions]


def denied(privilege: str, securable: Securable) -> PermissionDenied:
    kind = {"METASTORE": "the metastore", "TABLE": "Table"}.get(securable.kind, securable.kind.capitalize())
    where = kind if securable.kind == "METASTORE" else f"{kind} '{securable.name}'"
    if privilege == MANAGE:
        return PermissionDenied(
            f"User does not have MANAGE on {where}, and does not own it or what it lies in; its owner or a metastore admin can do this or grant it."
        )
    return PermissionDenied(f"User does not have {shown(privilege)} on {where}.")


def shown(privilege: str) -> str:
    """A privilege as SQL writes it."""
    return privilege.replace("_", " ")


def plain_name(name: str, what: str) -> str:
    """One part of a name, in lower case. Raises InvalidParameter if it can't be one."""
    if not name or len(name) > 255 or any(not c.isprintable() or c in "./\\ `'\"" for c in name):
        raise InvalidParameter(
            f"{what} name {name!r} is not allowed: 1 to 255 characters without dots, spaces, slashes, quotes and control characters."
        )
    return name.lower()


def full_name(parts: Iterable[str], kind: str) -> str:
    """A full name of its parts. Raises InvalidParameter if it has too few or too many for its kind."""
    names = [plain_name(part, kind.capitalize()) for part in parts]
    if len(names) != _DEPTH[kind]:
        raise InvalidParameter(
            f"{'.'.join(names)!r} names no {kind.lower()}: that takes {_DEPTH[kind]} part{'s' * (_DEPTH[kind] > 1)}."
        )
    return ".".join(names)
