"""Who may what: principals, securables and operations, with the answers written down by hand from Databricks' published rules."""

from __future__ import annotations

import pytest

from labs_lib.workspace.catalog.privileges import Grant, Securable, Who, missing, sees, source

METASTORE = Securable("METASTORE", "metastore", "System user")
HR = Securable("CATALOG", "hr", "hr_owners", METASTORE)
PEOPLE = Securable("SCHEMA", "hr.people", "carl", HR)
EMP = Securable("TABLE", "hr.people.emp", "ana", PEOPLE)
MASK = Securable("FUNCTION", "hr.people.mask", "ana", PEOPLE)
SALT = Securable("FUNCTION", "hr.people.salt", "ana", PEOPLE)

GRANTS = frozenset(
    Grant(*row.split())
    for row in """
    CATALOG hr analysts USE_CATALOG
    SCHEMA hr.people analysts USE_SCHEMA
    TABLE hr.people.emp analysts SELECT
    CATALOG hr dora SELECT
    CATALOG hr eve USE_CATALOG
    CATALOG hr eve USE_SCHEMA
    SCHEMA hr.people eve SELECT
    SCHEMA hr.people eve EXECUTE
    CATALOG hr fay ALL_PRIVILEGES
    SCHEMA hr.people gus MANAGE
    CATALOG hr hans USE_CATALOG
    SCHEMA hr.people hans USE_SCHEMA
    SCHEMA hr.people hans MODIFY
    SCHEMA hr.people hans CREATE_TABLE
    CATALOG hr carl USE_CATALOG
    TABLE hr.people.emp ivan SELECT
    SCHEMA hr.people ivan USE_SCHEMA
    CATALOG hr jo BROWSE
    FUNCTION hr.people.salt kim EXECUTE
    CATALOG hr kim USE_CATALOG
    CATALOG hr kim USE_SCHEMA
    METASTORE metastore lea CREATE_CATALOG
    CATALOG hr mia USE_CATALOG
    SCHEMA hr.people mia USE_SCHEMA
    TABLE hr.people.emp mia ALL_PRIVILEGES
    CATALOG hr nell USE_CATALOG
    SCHEMA hr.people nell CREATE_TABLE
    CATALOG hr olli CREATE_SCHEMA
    """.strip().splitlines()
)

OPERATIONS = {
    "select": (EMP, "SELECT"),
    "modify": (EMP, "MODIFY"),
    "execute": (MASK, "EXECUTE"),
    "salt": (SALT, "EXECUTE"),
    "table": (PEOPLE, "CREATE_TABLE"),
    "use": (PEOPLE, "USE_SCHEMA"),
    "schema": (HR, "CREATE_SCHEMA"),
    "catalog": (METASTORE, "CREATE_CATALOG"),
    "manage": (EMP, "MANAGE"),
    "grant": (HR, "MANAGE"),
}

# + may, . may not
MATRIX = """
              select modify execute salt table use schema catalog manage grant  sees
ben           +      .      .       .    .     +   .      .       .      .      +
nested        +      .      .       .    .     +   .      .       .      .      +
dora          .      .      .       .    .     .   .      .       .      .      +
eve           +      .      +       +    .     +   .      .       .      .      +
fay           +      +      +       +    +     +   +      .       .      .      +
gus           .      .      .       .    .     .   .      .       +      .      +
hans          .      +      .       .    +     +   .      .       .      .      +
ivan          .      .      .       .    .     .   .      .       .      .      +
jo            .      .      .       .    .     .   .      .       .      .      +
kim           .      .      .       +    .     +   .      .       .      .      .
lea           .      .      .       .    .     .   .      +       .      .      .
mia           +      +      .       .    .     +   .      .       .      .      +
nell          .      .      .       .    .     .   .      .       .      .      .
olli          .      .      .       .    .     .   .      .       .      .      .
ana           .      .      .       .    .     .   .      .       +      .      +
ana+use       +      +      +       +    .     +   .      .       +      .      +
carl          .      .      .       .    +     +   .      .       +      .      +
owner         .      .      .       .    .     .   +      .       +      +      +
admin         .      .      .       .    .     .   .      +       +      +      +
nobody        .      .      .       .    .     .   .      .       .      .      .
"""  # fmt: skip

PRINCIPALS = {
    "ben": Who.of("ben", {"analysts"}),
    "nested": Who.of("nina", {"juniors", "analysts"}),
    "ana+use": Who.of("ana", {"analysts"}),
    "owner": Who.of("olga", {"hr_owners"}),
    "admin": Who.of("root", {"admins"}, admin=True),
}
ROWS = [line.split() for line in MATRIX.strip().splitlines()[1:]]
COLUMNS = MATRIX.strip().splitlines()[0].split()


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_the_matrix(row: list[str]) -> None:
    who = PRINCIPALS.get(row[0], Who.of(row[0], set()))
    found = {name: missing(*OPERATIONS[name], who, GRANTS) is None for name in OPERATIONS}
    found["sees"] = sees(EMP, who, GRANTS)
    assert found == {name: answer == "+" for name, answer in zip(COLUMNS, row[1:], strict=True)}


def test_what_is_missing_is_named_from_the_outside_in() -> None:
    assert missing(EMP, "SELECT", Who.of("dora", set()), GRANTS) == ("USE_CATALOG", HR)
    assert missing(EMP, "SELECT", Who.of("carl", set()), GRANTS) == ("SELECT", EMP)
    assert missing(EMP, "SELECT", Who.of("ivan", set()), GRANTS) == ("USE_CATALOG", HR)


def test_where_a_privilege_comes_from() -> None:
    assert source(EMP, "SELECT", Who.of("dora", set()), GRANTS) == HR
    assert source(EMP, "SELECT", Who.of("eve", set()), GRANTS) == PEOPLE
    assert source(EMP, "MANAGE", Who.of("olga", {"hr_owners"}), GRANTS) == HR
    assert source(EMP, "SELECT", Who.of("olga", {"hr_owners"}), GRANTS) is None


def test_everybody_is_in_account_users() -> None:
    grants = frozenset({Grant("CATALOG", "hr", "account users", "USE_CATALOG")})
    assert missing(HR, "USE_CATALOG", Who.of("nobody", set()), grants) is None
