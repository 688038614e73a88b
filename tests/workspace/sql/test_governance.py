"""Governance by SQL, through the statement API: no JVM is started for it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from databricks.sdk.service.catalog import Privilege
from databricks.sdk.service.sql import StatementResponse, StatementState

from workspace.conftest import Served

pytestmark = pytest.mark.ledger

BEN = "ben@example.com"
Ask = Callable[..., StatementResponse]


@pytest.fixture
def ask(workspace: Served) -> Ask:
    warehouse = str(next(iter(workspace.client().warehouses.list())).id)
    workspace.client().users.create(user_name=BEN)

    def statement(text: str, user: str | None = None) -> StatementResponse:
        api = workspace.client(user).statement_execution
        found = api.execute_statement(text, warehouse, catalog="hr", schema="people", wait_timeout="25s")
        assert found.status and found.status.state in (StatementState.SUCCEEDED, StatementState.FAILED)
        return found

    return statement


def rows(answer: StatementResponse) -> list[list[str | None]]:
    assert answer.status and answer.status.state == StatementState.SUCCEEDED, answer.status
    return answer.result.data_array or [] if answer.result else []  # type: ignore[return-value]


def refusal(answer: StatementResponse) -> str:
    assert answer.status and answer.status.error, "it succeeded"
    return str(answer.status.error.message)


def test_a_catalog_is_made_granted_described_and_dropped(workspace: Served, ask: Ask) -> None:
    for text in (
        "CREATE CATALOG hr COMMENT 'people''s'",
        "CREATE CATALOG IF NOT EXISTS hr",
        "CREATE SCHEMA people",
        "GRANT USE CATALOG ON CATALOG hr TO `ben@example.com`",
        "GRANT USE SCHEMA, CREATE TABLE ON SCHEMA people TO `ben@example.com`",
        "COMMENT ON SCHEMA hr.people IS 'who works here'",
        "ALTER SCHEMA hr.people SET TAGS ('domain' = 'hr')",
        "ALTER SCHEMA hr.people OWNER TO `ben@example.com`",
    ):
        rows(ask(text))
    w = workspace.client()
    assert (
        w.catalogs.get("hr").comment == "people's" and w.schemas.get("hr.people").comment == "who works here"
    )
    assert w.schemas.get("hr.people").owner == BEN
    held = (w.grants.get("schema", "hr.people").privilege_assignments or [])[0]
    assert held.principal == BEN and set(held.privileges or []) == {
        Privilege.CREATE_TABLE,
        Privilege.USE_SCHEMA,
    }
    assert rows(ask("SHOW GRANTS ON SCHEMA hr.people")) == [
        [BEN, "CREATE TABLE", "SCHEMA", "hr.people"],
        [BEN, "USE CATALOG", "CATALOG", "hr"],
        [BEN, "USE SCHEMA", "SCHEMA", "hr.people"],
    ]
    assert rows(ask("SHOW SCHEMAS IN hr", BEN)) == [["people"]]
    rows(ask("REVOKE CREATE TABLE ON SCHEMA people FROM `ben@example.com`"))
    assert [row[1] for row in rows(ask("SHOW GRANTS ON SCHEMA people"))] == ["USE CATALOG", "USE SCHEMA"]
    assert "is not empty" in refusal(ask("DROP CATALOG hr"))
    rows(ask("DROP CATALOG hr CASCADE"))
    rows(ask("DROP CATALOG IF EXISTS hr"))
    assert "does not exist" in refusal(ask("DROP CATALOG hr"))
    assert not (workspace.home / "door").exists()


def test_who_may_not_is_told_what_is_missing(workspace: Served, ask: Ask) -> None:
    rows(ask("CREATE CATALOG hr"))
    rows(ask("CREATE SCHEMA people"))
    for text, sentence in (
        ("CREATE CATALOG mine", "does not have CREATE CATALOG on the metastore"),
        ("CREATE SCHEMA mine", "does not have USE CATALOG on Catalog 'hr'"),
        ("DROP SCHEMA people", "does not have MANAGE on Schema 'hr.people'"),
        ("GRANT SELECT ON SCHEMA people TO `ben@example.com`", "does not have MANAGE on Schema 'hr.people'"),
        ("ALTER CATALOG hr OWNER TO `ben@example.com`", "does not have MANAGE on Catalog 'hr'"),
        ("ALTER SCHEMA people SET TAGS ('a' = 'b')", "does not have USE CATALOG on Catalog 'hr'"),
    ):
        answer = ask(text, BEN)
        assert sentence in refusal(answer)
        assert answer.status and answer.status.sql_state == "42501"
    for text, sentence in (
        (
            "GRANT USAGE ON SCHEMA people TO `ben@example.com`",
            "the privilege is USE_CATALOG or USE_SCHEMA today",
        ),
        ("GRANT SELECT ON SCHEMA people TO nobody", "Could not find principal with name nobody"),
        ("ALTER TABLE nothing DROP ROW FILTER", "Table 'hr.people.nothing' does not exist"),
        ("ALTER SCHEMA people SET TAGS ('a.b' = 'c')", "is not allowed"),
        ("CREATE SCHEMA information_schema", "every catalog has an information_schema of its own"),
    ):
        assert sentence in refusal(ask(text))


def test_statements_are_in_the_audit_log_and_not_half_done(workspace: Served, ask: Ask) -> None:
    rows(ask("CREATE CATALOG hr"))
    refusal(ask("GRANT SELECT, NONSENSE ON CATALOG hr TO `ben@example.com`"))
    assert not workspace.client().grants.get("catalog", "hr").privilege_assignments
    found = [(row["status_code"], row["request_params"]) for row in workspace.audit_rows("commandFinish")]
    assert [code for code, _ in found] == [200, 400] and "NONSENSE" in found[1][1]


def test_a_crowd_of_statements_is_answered_and_all_are_done(workspace: Served, ask: Ask) -> None:
    """Sixty at once: each is answered, those that were not waited for are asked for again, and none is lost."""
    rows(ask("CREATE CATALOG hr"))
    api = workspace.client().statement_execution
    warehouse = str(next(iter(workspace.client().warehouses.list())).id)

    def one(number: int) -> str:
        found = api.execute_statement(f"CREATE SCHEMA hr.s{number}", warehouse, wait_timeout="5s")
        while found.status and found.status.state in (StatementState.PENDING, StatementState.RUNNING):
            found = api.get_statement(str(found.statement_id))
        return str(found.status and found.status.state)

    with ThreadPoolExecutor(30) as pool:
        assert {*pool.map(one, range(60))} == {"StatementState.SUCCEEDED"}
    assert len([*workspace.client().schemas.list("hr")]) == 61
