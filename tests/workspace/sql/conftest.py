"""One workspace with one JVM for all that try the SQL door: employees whose salaries and regions are not everybody's to see."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from databricks.sdk.service.iam import ComplexValue
from databricks.sdk.service.sql import StatementParameterListItem, StatementResponse, StatementState

from workspace.conftest import Served, serve

# Each stands in the tables once, and nobody but those of `payroll` may ever see it.
PLANTED = ("777123", "Zofia", "antarctica", "1911-11-11")
BEN, ANA, EVE = "ben@example.com", "ana@example.com", "eve@example.com"

SETUP = (
    "CREATE CATALOG hr",
    "CREATE SCHEMA hr.people",
    "CREATE SCHEMA hr.rules",
    "CREATE SCHEMA hr.lab",
    "CREATE FUNCTION hr.rules.mask_salary(salary INT) RETURNS INT RETURN CASE WHEN is_account_group_member('payroll') THEN salary END",
    "CREATE FUNCTION hr.rules.mask_date(born DATE) RETURNS DATE RETURN IF(is_member('payroll'), born, DATE'1900-01-01')",
    "CREATE FUNCTION hr.rules.own_region(region STRING, email STRING) RETURNS BOOLEAN "
    "RETURN is_account_group_member('payroll') OR email = current_user() OR region IN ('europe', 'asia')",
    "CREATE TABLE hr.people.emp (id INT, name STRING COMMENT 'first name', salary INT, region STRING, email STRING, born DATE) PARTITIONED BY (region)",
    "INSERT INTO hr.people.emp VALUES (1, 'Ana', 777123, 'europe', 'ana@example.com', DATE'1990-01-01'), "
    "(2, 'Ben', 50, 'asia', 'ben@example.com', DATE'1911-11-11'), (3, 'Zofia', 60, 'antarctica', 'zofia@example.com', DATE'1980-05-05')",
    "CREATE TABLE hr.people.dept (id INT, dept STRING)",
    "INSERT INTO hr.people.dept VALUES (1, 'sales'), (2, 'it'), (3, 'ice')",
    "CREATE VIEW hr.people.everybody AS SELECT id, name, salary, born FROM hr.people.emp",
    "CREATE VIEW hr.people.europeans AS SELECT id, name FROM hr.people.emp WHERE region = 'europe'",
    "CREATE VIEW hr.people.mine AS SELECT * FROM hr.people.emp WHERE email = current_user()",
    "CREATE VIEW hr.people.warm AS SELECT name FROM hr.people.copy_of_names WHERE name <> 'Zofia'",
    "ALTER TABLE hr.people.emp ALTER COLUMN salary SET MASK hr.rules.mask_salary",
    "ALTER TABLE hr.people.emp ALTER COLUMN born SET MASK hr.rules.mask_date",
    "ALTER TABLE hr.people.emp SET ROW FILTER hr.rules.own_region ON (region, email)",
    "GRANT USE CATALOG, USE SCHEMA ON CATALOG hr TO staff",
    "GRANT SELECT, MODIFY ON TABLE hr.people.emp TO staff",
    "GRANT SELECT ON VIEW hr.people.everybody TO staff",
    "GRANT SELECT ON VIEW hr.people.europeans TO staff",
    "GRANT SELECT ON VIEW hr.people.mine TO staff",
    "GRANT SELECT ON VIEW hr.people.warm TO staff",
    "GRANT SELECT ON TABLE hr.people.dept TO staff",
    "GRANT EXECUTE ON SCHEMA hr.rules TO staff",
    "GRANT ALL PRIVILEGES ON SCHEMA hr.lab TO staff",
)


class Company:
    """A served workspace, and statements as somebody."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.warehouse = str(next(iter(served.client().warehouses.list())).id)

    def ask(
        self, text: str, user: str | None = None, schema: str = "people", **values: str
    ) -> StatementResponse:
        """How the statement ended."""
        api = self.served.client(user).statement_execution
        parameters = [StatementParameterListItem(name=name, value=value) for name, value in values.items()]
        found = api.execute_statement(
            text,
            self.warehouse,
            catalog="hr",
            schema=schema,
            wait_timeout="20s",
            parameters=parameters or None,
        )
        end = time.monotonic() + 120
        while found.status and found.status.state in (StatementState.PENDING, StatementState.RUNNING):
            assert time.monotonic() < end, f"it still runs: {text}"
            time.sleep(0.2)
            found = api.get_statement(str(found.statement_id))
        assert found.status and found.status.state in (StatementState.SUCCEEDED, StatementState.FAILED), found
        return found

    def rows(self, text: str, user: str | None = None, **values: str) -> list[list[str | None]]:
        """The rows of a statement that has to succeed."""
        found = self.ask(text, user, **values)
        assert found.status and found.status.state == StatementState.SUCCEEDED, f"{text}\n{found.status}"
        return found.result.data_array or [] if found.result else []  # type: ignore[return-value]

    def error(self, text: str, user: str | None = None, schema: str = "people") -> str:
        """The sentence of a statement that has to fail."""
        found = self.ask(text, user, schema)
        assert found.status and found.status.error, f"{text} succeeded"
        return str(found.status.error.message)


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    serving = serve(tmp_path_factory.mktemp("company") / "workspace")
    served = next(serving)
    try:
        yield furnish(served)
    finally:
        serving.close()


def furnish(served: Served) -> Company:
    """The company's people, tables and rules."""
    w = served.client()
    people = {name: w.users.create(user_name=name).id for name in (ANA, BEN, EVE)}
    w.groups.create(display_name="payroll", members=[ComplexValue(value=people[ANA])])
    juniors = w.groups.create(display_name="juniors", members=[ComplexValue(value=people[BEN])])
    w.groups.create(
        display_name="staff", members=[ComplexValue(value=people[ANA]), ComplexValue(value=juniors.id)]
    )
    company = Company(served)
    for text in SETUP:
        if "copy_of_names" in text:
            company.rows("CREATE TABLE hr.people.copy_of_names AS SELECT name FROM hr.people.emp")
        company.rows(text)
    return company
