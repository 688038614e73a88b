"""Unity Catalog's privileges: which exist on what, and the one check whether somebody has one.

Sources: "Unity Catalog privileges and securable objects" and "Manage Unity Catalog object ownership" in Databricks' documentation.
Everything here is pure: a securable with its parents, a table of grants, the names that a caller answers to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

ALL = "ALL_PRIVILEGES"
MANAGE = "MANAGE"
BROWSE = "BROWSE"
EVERYBODY = "account users"  # the group of all users of an account

_MANAGED = frozenset([ALL, MANAGE, "APPLY_TAG"])
_LEAVES: Mapping[str, frozenset[str]] = {
    "TABLE": frozenset(["SELECT", "MODIFY"]) | _MANAGED,
    "VIEW": frozenset(["SELECT"]) | _MANAGED,
    "FUNCTION": frozenset(["EXECUTE", ALL, MANAGE]),
}
_SCHEMA = frozenset(["USE_SCHEMA", "CREATE_TABLE", "CREATE_FUNCTION"]).union(*_LEAVES.values())
# What can be granted on each kind of securable: what is for its children can be granted on it too, since they inherit it.
GRANTABLE: Mapping[str, frozenset[str]] = {
    "METASTORE": frozenset(["CREATE_CATALOG"]),
    "CATALOG": frozenset(["USE_CATALOG", "CREATE_SCHEMA", BROWSE]) | _SCHEMA,
    "SCHEMA": _SCHEMA,
    **_LEAVES,
}
# What has to be held on each container on the way to what lies in it.
USE: Mapping[str, str] = {"CATALOG": "USE_CATALOG", "SCHEMA": "USE_SCHEMA"}


@dataclass(frozen=True)
class Securable:
    """Something that privileges are about. `kind` is METASTORE, CATALOG, SCHEMA, TABLE (views too) or FUNCTION; `name` is full and in lower case, the metastore's empty."""

    kind: str
    name: str
    owner: str
    parent: Securable | None = None

    @property
    def lineage(self) -> Iterator[Securable]:
        """It and its parents, itself first."""
        here: Securable | None = self
        while here:
            yield here
            here = here.parent


@dataclass(frozen=True)
class Grant:
    """A row of the table of grants."""

    kind: str
    name: str
    principal: str
    privilege: str


@dataclass(frozen=True)
class Who:
    """The names that a caller answers to: the own one, and those of all groups, nested ones too. `admin`: a metastore admin."""

    names: frozenset[str]
    admin: bool = False

    @classmethod
    def of(cls, user_name: str, groups: Iterable[str], admin: bool = False) -> Who:
        return cls(frozenset([user_name, EVERYBODY, *groups]), admin)


Grants = frozenset[Grant]


def source(
    securable: Securable, privilege: str, who: Who, grants: Grants, *, by_owning: bool = True
) -> Securable | None:
    """Where the caller has that privilege on that securable from: itself or one of its parents; None if not at all.

    What is granted on a container is granted on all that lies in it. The owner of a securable has every privilege on it, and on what
    lies in it only the right to manage: owners of a schema may grant themselves what they want to do with its tables. A metastore
    admin may manage everything.
    """
    stands_for = {privilege} if privilege == MANAGE else {privilege, ALL}
    if by_owning and securable.owner in who.names:
        return securable
    if any(
        Grant(securable.kind, securable.name, name, held) in grants
        for name in who.names
        for held in stands_for
    ):
        return securable
    if securable.parent is None:
        return securable if who.admin and privilege in (MANAGE, "CREATE_CATALOG") else None
    return source(securable.parent, privilege, who, grants, by_owning=privilege == MANAGE)


def sees(securable: Securable, who: Who, grants: Grants) -> bool:
    """Whether the caller may know that it exists, and what it is called and made of: any privilege will do, BROWSE too."""
    return any(
        source(securable, privilege, who, grants) for privilege in (*GRANTABLE[securable.kind], BROWSE)
    )


def missing(securable: Securable, privilege: str, who: Who, grants: Grants) -> tuple[str, Securable] | None:
    """What the caller lacks to act on a securable, outermost first: USE CATALOG, USE SCHEMA, then the privilege itself; None for nothing.

    The right to manage needs no USE: whoever manages could grant it to themselves.
    """
    if privilege == MANAGE:
        return None if source(securable, MANAGE, who, grants) else (MANAGE, securable)
    inside = privilege.startswith("CREATE_")  # what is made lies in the securable, so that is on the way too
    for container in reversed([*securable.lineage][not inside :]):
        use = USE.get(container.kind)
        if use and not source(container, use, who, grants):
            return use, container
    return None if source(securable, privilege, who, grants) else (privilege, securable)
