"""The guard's rules on plans made by hand: what the parser or the rewriter let through is still refused."""

from __future__ import annotations

import pytest

from labs_lib.workspace.catalog.model import Catalog, Column, Object, Policy
from labs_lib.workspace.catalog.privileges import Grant, Who
from labs_lib.workspace.ground.errors import InvalidParameter, NotFound, PermissionDenied
from labs_lib.workspace.sql import guard
from labs_lib.workspace.sql.plan import Node, name_end, node
from labs_lib.workspace.sql.rewrite import Rewriter, Scope, resolved

BASE, VIEW = "t_1.emp", "u_ben_1.emp"
LOGICAL = "plans.logical."
UNRESOLVED = "analysis."


def leaf(name: str = BASE) -> Node:
    table = Node("CatalogTable", text=f"spark_catalog.{name}")
    return Node("org.apache.spark.sql.execution.datasources.LogicalRelation", fields={"catalogTable": table})


def plan(*inside: Node, kind: str = "Project") -> Node:
    return Node(LOGICAL + kind, fields={"child": [*inside]})


def view(*inside: Node, name: str = VIEW) -> Node:
    return Node(
        LOGICAL + "View",
        fields={"desc": Node("CatalogTable", text=f"spark_catalog.{name}"), "child": [*inside]},
    )


ALLOWED = {"": frozenset[str](), VIEW: frozenset({BASE})}


def test_a_table_under_its_view_is_allowed() -> None:
    guard.check_analysed(plan(view(leaf())), ALLOWED)


@pytest.mark.parametrize(
    "found",
    [
        plan(leaf()),  # a table that the rewriter missed
        plan(view(leaf()), leaf()),  # beside its view
        plan(view(leaf("t_2.other"))),  # another one in the view
        plan(view(leaf(), name="u_ana_1.emp")),  # somebody else's view
        plan(view(view(leaf(), name="default.emp"))),  # a view that nobody made
        plan(view(name="default.values")),  # one without a table
        plan(Node("expressions.ScalarSubquery", fields={"plan": plan(leaf())})),  # in an expression
        plan(
            Node("org.apache.spark.sql.execution.datasources.LogicalRelation", fields={"catalogTable": None})
        ),  # by a path
        plan(
            Node(
                "org.apache.spark.sql.execution.datasources.v2.DataSourceV2Relation",
                text="spark_catalog.t_1.emp",
            )
        ),
        plan(Node("org.apache.spark.sql.execution.LogicalRDD")),
        plan(Node("org.apache.spark.sql.execution.columnar.InMemoryRelation")),
        plan(Node("expressions.InputFileName")),
        plan(Node("expressions.CurrentUser")),
        leaf(),
    ],
)
def test_whatever_stands_elsewhere_ends_the_statement(found: Node) -> None:
    with pytest.raises(PermissionDenied, match="in a way that nobody granted"):
        guard.check_analysed(found, ALLOWED)


def test_what_a_statement_changes_may_stand_where_it_is_changed_and_nowhere_else() -> None:
    append = Node(LOGICAL + "AppendData", fields={"table": leaf(), "query": plan(view(leaf()))})
    guard.check_analysed(append, ALLOWED, BASE)
    for name, query in (("query", plan(leaf())), ("condition", plan(leaf()))):
        with pytest.raises(PermissionDenied):
            guard.check_analysed(
                Node(LOGICAL + "AppendData", fields={"table": leaf(), name: query}), ALLOWED, BASE
            )


@pytest.mark.parametrize(
    "kind",
    ["plans.logical.SomethingOfALaterSpark", "analysis.PlanWithUnresolvedIdentifier", "analysis.ExpressionWithUnresolvedIdentifier",
     "org.apache.spark.sql.delta.commands.VacuumTableCommand", "expressions.CallMethodViaReflection"],
)  # fmt: skip
def test_a_kind_on_no_list_is_refused_wherever_it_stands(kind: str) -> None:
    with pytest.raises(InvalidParameter, match="not offered here"):
        guard.check(plan(Node(kind, start=3, end=9)))


OBJECTS = (
    Object("CATALOG", "hr", "admins"),
    Object("SCHEMA", "hr.p", "admins"),
    Object("TABLE", "hr.p.emp", "admins", "1", type="MANAGED", location="/x", columns=(Column("id", "int"), Column("pay", "int")),
           masks={"pay": Policy("hr.p.mask")}),
    Object("TABLE", "hr.p.dept", "admins", "2", type="MANAGED", location="/y", columns=(Column("id", "int"),)),
    Object("FUNCTION", "hr.p.mask", "admins", "3", definition="NULL", parameters=(Column("x", "int"),), returns="int",
           properties={"catalog": "hr", "schema": "p"}),
)  # fmt: skip
GRANTS = frozenset(
    Grant("CATALOG", "hr", "ben", privilege) for privilege in ("USE_CATALOG", "USE_SCHEMA", "SELECT")
)


def relation(text: str, name: str) -> Node:
    start = text.index(name)
    fields = {"multipartIdentifier": name.replace("`", "").split("."), "options": [], "isStreaming": "false"}
    return Node(UNRESOLVED + "UnresolvedRelation", start, start + len(name), fields=fields)


def rewriter() -> Rewriter:
    catalog = Catalog({each.key: each for each in OBJECTS}, GRANTS)
    return Rewriter(
        catalog,
        "ben",
        ["staff"],
        {"admins": Who.of("admins", ())},
        lambda text: plan(),
        lambda within, table: None,
    )


BEN = Scope(Who.of("ben", {"staff"}), "hr", "p")


def test_only_the_name_is_replaced_and_only_by_the_callers_view() -> None:
    text = "SELECT emp.id FROM hr.p.emp, dept WHERE 'hr.p.emp' <> ''"
    made = rewriter()
    written = made.rewrite(text, plan(relation(text, "hr.p.emp"), relation(text, "dept")), BEN)
    mine = next(name for name in made.allowed if name)
    assert written == f"SELECT emp.id FROM `{mine.split('.')[0]}`.`emp`, `t_2`.`dept` WHERE 'hr.p.emp' <> ''"
    assert made.allowed == {"": {"t_2.dept"}, mine: {"t_1.emp"}}
    assert f"CAST(`{mine.split('.')[0][:-1]}3`.`mask`(`pay`) AS int) AS `pay`" in made.made[mine]


def test_another_caller_has_another_view() -> None:
    views = []
    for groups in (["staff"], ["staff", "payroll"]):
        catalog = Catalog({each.key: each for each in OBJECTS}, GRANTS)
        made = Rewriter(
            catalog,
            "ben",
            groups,
            {"admins": Who.of("admins", ())},
            lambda text: plan(),
            lambda within, table: None,
        )
        made.rewrite("TABLE emp", relation("TABLE emp", "emp"), BEN)
        views.append(next(name for name in made.allowed if name))
    assert views[0] != views[1]


def test_without_a_grant_or_a_table_there_is_nothing() -> None:
    text = "TABLE emp"
    with pytest.raises(PermissionDenied, match="does not have USE CATALOG"):
        rewriter().rewrite(text, relation(text, "emp"), Scope(Who.of("eve", ()), "hr", "p"))
    with pytest.raises(NotFound, match="cannot be found"):
        rewriter().rewrite("TABLE x", relation("TABLE x", "x"), BEN)


@pytest.mark.parametrize("parts", [["delta", "/tmp/x"], ["a", "b", "c", "d"], ["hr.p", "emp"], [""]])
def test_what_can_be_no_name_names_nothing(parts: list[str]) -> None:
    with pytest.raises(NotFound, match="names nothing in the catalog"):
        resolved(parts, BEN)


def test_names_are_found_in_the_text_as_they_are_written() -> None:
    text = "SELECT `a``b` . c.\n d FROM x"
    assert name_end(text, 7, ["a`b", "c", "d"]) == text.index(" FROM")
    assert name_end("a /* x */ . b", 0, ["a", "b"]) is None
    assert name_end("a.c", 0, ["a", "b"]) is None


def test_a_plan_that_is_nested_without_end_is_an_error_and_no_crash() -> None:
    value: object = {"c": "x"}
    for _ in range(100):
        value = {"c": "x", "f": {"0:child": value}}
    assert len([*node(value).walk()]) == 101
