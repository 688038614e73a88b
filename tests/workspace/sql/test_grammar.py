"""Governance statements are read whole or not at all."""

from __future__ import annotations

import pytest

from labs_lib.workspace.sql.grammar import Command, read


@pytest.mark.parametrize(
    ("text", "command"),
    [
        (
            "GRANT SELECT, USE SCHEMA ON SCHEMA hr.`p 1` TO `data engineers`",
            Command("grant", "SCHEMA", ("hr", "p 1"), "data engineers", frozenset({"SELECT", "USE_SCHEMA"})),
        ),
        ("grant all privileges on hr.p.t to ana", Command("grant", "TABLE", ("hr", "p", "t"), "ana", frozenset({"ALL_PRIVILEGES"}))),
        ("GRANT CREATE CATALOG ON METASTORE TO x", Command("grant_metastore", principal="x", privileges=frozenset({"CREATE_CATALOG"}))),
        ("REVOKE SELECT ON VIEW v FROM `a@b.c`", Command("revoke", "TABLE", ("v",), "a@b.c", frozenset({"SELECT"}))),
        ("SHOW GRANTS `a b` ON CATALOG hr", Command("show_grants", "CATALOG", ("hr",), "a b")),
        ("CREATE CATALOG IF NOT EXISTS hr COMMENT 'it''s \\'x\\''", Command("create_catalog", name=("hr",), text="it's 'x'", lenient=True)),
        ("DROP DATABASE hr.p CASCADE", Command("drop", "SCHEMA", ("hr", "p"), cascade=True)),
        ("ALTER TABLE t SET OWNER TO `x y`", Command("owner", name=("t",), principal="x y")),
        ("ALTER TABLE t SET ROW FILTER a.b.f ON (c, `d e`)", Command("set_filter", name=("t",), function=("a", "b", "f"), columns=("c", "d e"))),
        ("ALTER TABLE t SET ROW FILTER f ON ()", Command("set_filter", name=("t",), function=("f",))),
        ("ALTER TABLE t DROP ROW FILTER", Command("drop_filter", name=("t",))),
        ("ALTER TABLE t ALTER COLUMN c SET MASK f USING COLUMNS (d)", Command("set_mask", name=("t",), column="c", function=("f",), columns=("d",))),
        ("ALTER TABLE t ALTER c DROP MASK", Command("drop_mask", name=("t",), column="c")),
        ("ALTER TABLE t ALTER COLUMN c SET TAGS ('a' = 'b', 'c')", Command("set_tags", name=("t",), column="c", tags={"a": "b", "c": ""})),
        ("ALTER SCHEMA s UNSET TAGS('a')", Command("unset_tags", "SCHEMA", ("s",), tags={"a": ""})),
        ("COMMENT ON COLUMN a.b.c.d IS NULL", Command("comment_column", name=("a", "b", "c", "d"))),
        ("COMMENT ON TABLE t IS 'x'", Command("comment", name=("t",), text="x")),
        ("SHOW SCHEMAS", Command("show_schemas")),
        ("DESC EXTENDED a.b", Command("describe", name=("a", "b"))),
    ],
)  # fmt: skip
def test_each_form(text: str, command: Command) -> None:
    assert read(text) == command
    assert read(f"  {text.replace(' ', chr(10) + ' ')}  ") is not None or "'" in text or "`" in text


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "GRANT SELECT ON t TO a; DROP TABLE t",
        "GRANT SELECT ON t TO a -- b",
        "GRANTSELECT ON t TO a",
        "GRANT SELECT ON t TO a b",
        "DROP TABLE",
        "DROP TABLE t, u",
        "COMMENT ON TABLE t IS 'x' OR 'y'",
        "DESCRIBE HISTORY t",
        "DESCRIBE DETAIL t",
        "CREATE CATALOG a MANAGED LOCATION 's3://x'",
        "ALTER TABLE t SET TAGS ('a' = b)",
        "SHOW TABLES LIKE 'x'",
    ],
)
def test_what_is_more_or_less_is_none(text: str) -> None:
    assert read(text) is None


def test_no_text_takes_for_ever() -> None:
    """A pattern that goes back and forth would take hours on these, and this test with it."""
    for text in (
        "GRANT " + "A " * 20_000,
        "COMMENT ON TABLE " + "a." * 20_000,
        "SHOW GRANTS " + "`a``" * 20_000,
        "DROP TABLE " + " " * 50_000 + "!",
    ):
        assert read(text) is None
