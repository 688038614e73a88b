"""What a session made beside tables is made again if it is harmless, and a plan that needs what isn't is refused with the reason."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pyspark.sql.connect.proto import base_pb2, catalog_pb2, commands_pb2

from grader.judging.judge_inside import Court
from grader.judging.submission import KEPT_BYTES, Ran
from grader.sandbox.runner import Ended
from grader.vetting.admit import admit
from labs_lib import registry
from labs_lib.checking.evidence import Evidence
from labs_lib.driving.launch import plain_child
from labs_lib.vetting import paths
from labs_lib.vetting.statements import (
    STATEMENTS,
    check_answer,
    check_command,
    of_catalog,
    scene_of,
    sql_command,
)
from labs_lib.vetting.text import Rejected

LAB = "optimization"


def plan(query: str) -> bytes:
    message = base_pb2.Plan()
    message.root.sql.query = query
    return message.SerializeToString()


def frame_view(name: str, query: str) -> str:
    command = commands_pb2.Command()
    command.create_dataframe_view.name = name
    command.create_dataframe_view.input.sql.query = query
    return base64.b64encode(command.SerializeToString()).decode()


def replayed(*statements: str) -> list[str]:
    """What is made again of those statements, in SQL."""
    scene = scene_of([sql_command(text) for text in statements], LAB)
    commands = [commands_pb2.Command.FromString(base64.b64decode(text)) for text in scene.commands]
    return [command.sql_command.input.sql.query for command in commands]


@pytest.mark.parametrize(
    "statement",
    [
        "-- why\nCREATE OR REPLACE TEMPORARY VIEW v AS SELECT 1",
        "/* why */ CREATE VIEW v AS SELECT 1",
        "CREATE OR REPLACE VIEW mine.v (a COMMENT 'x') COMMENT 'y' AS SELECT 1",
        "CREATE VIEW IF NOT EXISTS spark_catalog.mine.v AS WITH a AS (SELECT 1) SELECT * FROM a",
        "CREATE GLOBAL TEMPORARY VIEW v AS SELECT 1",
        "ALTER VIEW v AS SELECT 2",
        "DECLARE x INT DEFAULT 3",
        "DECLARE OR REPLACE VARIABLE x, y = (SELECT max(week) FROM transactions)",
        "DECLARE VARIABLE d DECIMAL(10, 2)",
        "SET VAR x = 5",
        "SET VARIABLE (x, y) = (SELECT 1, 2)",
        "SET VAR x = 1, y = DEFAULT",
        "CREATE FUNCTION f(n BIGINT, m DOUBLE DEFAULT 0.5) RETURNS BOOLEAN COMMENT 'hot' DETERMINISTIC RETURN n >= 100 * m",
        "CREATE OR REPLACE TEMPORARY FUNCTION f() LANGUAGE SQL RETURN (SELECT max(week) FROM transactions)",
        "CREATE FUNCTION mine.f(a INT) RETURNS TABLE (b INT) RETURN SELECT week FROM transactions WHERE week > a",
    ],
)
def test_an_honest_statement_is_replayed_as_it_is(statement: str) -> None:
    assert replayed(statement) == [statement]


def test_some_are_replayed_as_what_they_come_to() -> None:
    assert replayed(
        "CACHE LAZY TABLE t OPTIONS ('storageLevel' 'DISK_ONLY') SELECT 1 AS a",
        "CACHE TABLE `a``b` AS SELECT 1",
        "CREATE SCHEMA IF NOT EXISTS mine COMMENT 'x' LOCATION '/somewhere'",
        "USE DATABASE spark_catalog.mine",
        "DROP VIEW t;",
        "DROP TEMPORARY FUNCTION IF EXISTS f",
        "DROP TEMPORARY VARIABLE x",
    ) == [
        "CREATE OR REPLACE TEMPORARY VIEW `t` AS SELECT 1 AS a",
        "CREATE OR REPLACE TEMPORARY VIEW `a``b` AS SELECT 1",
        "CREATE DATABASE IF NOT EXISTS `mine`",
        "USE `mine`",
        "DROP VIEW IF EXISTS `t`",
        "DROP TEMPORARY FUNCTION IF EXISTS `f`",
        "DROP TEMPORARY VARIABLE IF EXISTS `x`",
    ]


def test_what_makes_nothing_that_a_plan_names_is_no_part_of_it() -> None:
    others = [
        "CREATE TABLE t AS SELECT 1",
        "DROP TABLE t",
        "CACHE TABLE t",
        "SET spark.sql.ansi.enabled=false",
    ]
    others += [
        "USE CATALOG x",
        "ALTER TABLE t ADD COLUMN a INT",
        "DROP DATABASE mine CASCADE",
        "SELECT 1",
        "",
    ]
    others += ["USE a; DROP TABLE t", "USE IDENTIFIER('x')", "DROP VIEW IDENTIFIER('x')"]
    assert replayed(*others) == []


def test_calls_of_the_catalog_are_statements() -> None:
    call = catalog_pb2.Catalog()
    call.drop_temp_view.view_name = "a`b"
    assert of_catalog(call) == "DROP VIEW IF EXISTS `a``b`"
    call.drop_global_temp_view.view_name = "g"
    assert of_catalog(call) == "DROP VIEW IF EXISTS `global_temp`.`g`"
    call.set_current_database.db_name = "mine"
    assert of_catalog(call) == "USE mine"
    call.list_tables.db_name = "mine"
    assert of_catalog(call) is None


@pytest.mark.parametrize(
    "statement",
    [
        # Code behind a function's name.
        "CREATE FUNCTION f AS 'evil.Class' USING JAR '/tmp/evil.jar'",
        "CREATE FUNCTION f(a INT) RETURNS INT LANGUAGE PYTHON AS $$ import os $$",
        "CREATE FUNCTION f(a STRING) RETURNS STRING LANGUAGE PYTHON RETURN a",
        "CREATE FUNCTION f(a STRING) RETURNS STRING RETURN reflect('java.lang.System', a)",
        "CREATE FUNCTION f(a STRING DEFAULT java_method('java.lang.System', 'exit', 0)) RETURNS STRING RETURN a",
        "CREATE FUNCTION f() RETURNS STRUCT<return: INT> RETURN reflect('a', 'b')",
        "CREATE FUNCTION f() RETURNS TABLE (a STRING) RETURN SELECT * FROM text.`/etc/passwd`",
        "CREATE FUNCTION f() RETURNS TABLE (a STRING) RETURN SELECT TRANSFORM (1) USING 'cat' AS (x) FROM t",
        "CREATE FUNCTION f() RETURNS INT RETURN 1; DROP TABLE transactions",
        "CREATE FUNCTION count(a INT) RETURNS INT RETURN 1",
        "CREATE FUNCTION mine.reflect(a INT) RETURNS INT RETURN 1",
        "CREATE FUNCTION IDENTIFIER('f')(a INT) RETURNS INT RETURN 1",
        "CREATE FUNCTION `a b`() RETURNS INT RETURN 1",
        # A variable that holds SQL text is harmless only where nothing makes SQL of it.
        "DECLARE q STRING DEFAULT reflect('java.lang.System', 'getenv')",
        "DECLARE q STRING DEFAULT (SELECT value FROM text.`/etc/passwd`)",
        "DECLARE q STRING DEFAULT '${env:HOME}'",
        "DECLARE IDENTIFIER('q') STRING DEFAULT 'x'",
        "SET VAR q = (SELECT value FROM json.`/box/in/reference.json`)",
        "SET VAR IDENTIFIER('q') = 1",
        # Views.
        "CREATE VIEW v AS SELECT * FROM IDENTIFIER(q)",
        "CREATE VIEW v AS EXECUTE IMMEDIATE q",
        "CREATE VIEW IDENTIFIER(reflect('java.lang.System', 'exit', 0)) AS SELECT 1",
        "CREATE VIEW v TBLPROPERTIES ('view.sqlConfig.x' = 'y') AS SELECT 1",
        "CREATE VIEW v WITH METRICS LANGUAGE YAML AS $$ x $$",
        "CREATE VIEW a.b.v AS SELECT 1",
        "CREATE GLOBAL TEMPORARY VIEW a.v AS SELECT 1",
        "CREATE VIEW `a; DROP TABLE t` AS SELECT 1",
        "ALTER VIEW v AS SELECT reflect('a', 'b')",
        "ALTER VIEW v RENAME TO w",
        "CACHE TABLE t AS SELECT * FROM parquet.`/box/inbox/0/tables/x`",
        "CACHE TABLE t AS INSERT INTO transactions SELECT 1",
        "CACHE TABLE IDENTIFIER('t') AS SELECT 1",
        "CREATE DATABASE `a``; DROP TABLE t`",
    ],
)
def test_a_hostile_statement_is_left_out_and_refused_alone(statement: str) -> None:
    assert replayed(
        "CREATE TEMP VIEW before AS SELECT 1", statement, "CREATE TEMP VIEW after AS SELECT 1"
    ) == [
        "CREATE TEMP VIEW before AS SELECT 1",
        "CREATE TEMP VIEW after AS SELECT 1",
    ]
    with pytest.raises(Rejected):
        check_command(base64.b64decode(sql_command(statement)))


@pytest.mark.parametrize(
    ("statements", "query", "said"),
    [
        (
            ["CREATE TEMP VIEW v AS SELECT reflect('a', 'b')"],
            "SELECT * FROM v",
            "'v', which can't be made again: .* reflect",
        ),
        (
            ["CREATE VIEW v AS SELECT reflect('a', 'b')"],
            f"SELECT * FROM {LAB}.V",
            "'v', which can't be made again",
        ),
        (["CREATE GLOBAL TEMP VIEW v AS SELECT reflect('a', 'b')"], "FROM global_temp.v", "'global_temp.v'"),
        (
            ["CREATE TEMP VIEW v AS SELECT 1", "CREATE OR REPLACE TEMP VIEW v AS SELECT reflect('a', 'b')"],
            "FROM v",
            "reflect",
        ),
        (
            ["CREATE TEMP VIEW v AS SELECT reflect('a', 'b')", "CREATE TEMP VIEW w AS FROM v"],
            "FROM w",
            "'w', which .* 'v', which",
        ),
        (["CREATE TEMP VIEW v AS SELECT 1", "ALTER VIEW v RENAME TO w"], "FROM v", "another way"),
        (["CREATE FUNCTION f AS 'x.Y'"], "SELECT f(week) FROM transactions", "'f', which .* code"),
        (["CREATE FUNCTION f AS 'x.Y'"], "SELECT mine.f(week + 1) FROM transactions", "function of a schema"),
        (["DECLARE q INT DEFAULT reflect('a', 'b')"], "SELECT q", "'q', which can't be made again"),
        (["DECLARE q STRING DEFAULT 'SELECT 1'"], "EXECUTE IMMEDIATE q", "is not a query"),
        (
            ["DECLARE q STRING DEFAULT 'text./etc/passwd'"],
            "SELECT * FROM IDENTIFIER(q)",
            "makes a name from text",
        ),
        (["DECLARE q STRING DEFAULT 't'"], "SELECT * FROM table_changes(q, 0)", "name in quotes"),
        ([], "SELECT f(week + 1) FROM transactions", "none of Spark's own functions, nor one in SQL"),
        ([], "SELECT * FROM shadow.transactions", "may not have a course table's name"),
        ([], "SELECT * FROM spark_catalog.shadow.products p", "may not have a course table's name"),
    ],
)
def test_a_plan_that_needs_what_is_left_out_is_refused_with_the_reason(
    statements: list[str], query: str, said: str
) -> None:
    scene = scene_of([sql_command(text) for text in statements], LAB)
    with pytest.raises(Rejected, match=said):
        check_answer(plan(query), scene)


def test_a_plan_that_does_not_need_it_passes_and_names_its_tables() -> None:
    statements = [
        *("CREATE TEMP VIEW bad AS SELECT reflect('a', 'b')", "CREATE FUNCTION bad_too AS 'x'"),
        *(
            "CREATE FUNCTION mine.f(n INT) RETURNS INT RETURN n",
            "CREATE TEMP VIEW v AS SELECT * FROM mine.lines",
        ),
        *(
            "CREATE TEMP VIEW gone AS SELECT reflect('a', 'b')",
            "CREATE OR REPLACE TEMP VIEW gone AS SELECT 1",
        ),
    ]
    scene = scene_of([*map(sql_command, statements), frame_view("w", "SELECT mine.f(1 + 1) FROM v")], LAB)
    assert ("mine", "lines") in scene.tables and len(scene.commands) == 4
    query = f"SELECT mine.f(a + 1), bad FROM w JOIN gone JOIN {LAB}.transactions JOIN global_temp.g"
    assert check_answer(plan(query), scene)[1] >= {
        ("w",),
        ("gone",),
        (LAB, "transactions"),
        ("global_temp", "g"),
    }


def test_a_session_of_very_many_statements_is_replayed_up_to_a_limit() -> None:
    """Views upon views, each twice as large: no more of them are made than a session needs."""
    doubling = [
        f"CREATE TEMP VIEW v{n} AS FROM v{n - 1} UNION ALL FROM v{n - 1}" for n in range(1, STATEMENTS + 50)
    ]
    scene = scene_of([sql_command(text) for text in ["CREATE TEMP VIEW v0 AS SELECT 1", *doubling]], LAB)
    assert len(scene.commands) == STATEMENTS
    with pytest.raises(Rejected, match="comes after"):
        check_answer(plan(f"FROM v{STATEMENTS + 10}"), scene)


@pytest.mark.parametrize(
    "text", ["", "?", base64.b64encode(b"\xff" * 20).decode(), sql_command("CREATE VIEW v AS SELECT \u00e9")]
)
def test_what_is_no_command_is_left_out(text: str) -> None:
    assert scene_of([text], LAB).commands == ()


# Paths


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    folder = tmp_path / "o'tables"
    for name in ("transactions", "own"):
        write_deltalake(folder / name, pa.table({"a": [1]}))
    (folder / "parquet").mkdir()
    secret = tmp_path / "secret"
    write_deltalake(secret, pa.table({"a": [1]}))
    (folder / "linked").symlink_to(secret)
    (tmp_path / "way").symlink_to(folder / "own")
    return folder


def test_a_read_of_the_labs_own_table_by_path_is_the_table(tables: Path) -> None:
    for location in (
        str(tables / "own"),
        f"file:{tables / 'own'}",
        f"{tables}/transactions/../own/",
        str(tables.parent / "way"),
    ):
        message: Any = base_pb2.Plan()
        source = message.root.filter.input.read.data_source
        source.format = "delta"
        source.paths.append(location)
        source.options["versionAsOf"] = "0"
        paths.by_name(message, tables, LAB)
        read = message.root.filter.input.read
        assert read.named_table.unparsed_identifier == f"`{LAB}`.`own`" and not read.HasField("data_source")
        assert dict(read.named_table.options) == {"versionAsOf": "0"}
    query = f"SELECT '`' AS x, t.a FROM delta.`{tables / 'own'}` t JOIN DELTA.`{tables / 'transactions'}` USING (a)"
    assert paths.text_by_name(query, tables, LAB) == (
        f"SELECT '`' AS x, t.a FROM `{LAB}`.`own` t JOIN `{LAB}`.`transactions` USING (a)"
    )


def test_a_read_of_any_other_path_stays_one_and_is_refused(tables: Path) -> None:
    elsewhere = [
        "/box/inbox/0/reference.json",
        f"{tables}/../secret",
        str(tables / "linked"),
        str(tables),
        "own",
    ]
    elsewhere += [
        str(tables / "parquet"),
        str(tables / "own" / "_delta_log"),
        str(tables / "none"),
        "/\0",
        "",
    ]
    for location in elsewhere:
        assert paths.table_at(location, tables) is None, location
        message: Any = base_pb2.Plan()
        message.root.read.data_source.format = "delta"
        message.root.read.data_source.paths.append(location)
        paths.by_name(message, tables, LAB)
        with pytest.raises(Rejected, match="reads files"):
            check_answer(message.SerializeToString(), scene_of([], LAB))
    for options in ({"format": "parquet"}, {"schema": "a INT"}):
        message = base_pb2.Plan()
        message.root.read.data_source.paths.append(str(tables / "own"))
        for name, value in options.items():
            setattr(message.root.read.data_source, name, value)
        paths.by_name(message, tables, LAB)
        assert message.root.read.HasField("data_source")
    query = f"SELECT * FROM delta.`{tables}/../secret`"
    assert paths.text_by_name(query, tables, LAB) == query


# What a box keeps for plans


def kept_in(box: Path) -> Path:
    return box / "workspace" / "01_optimization" / "kept" / "1a.3"


def take(box: Path, target: Path) -> list[str]:
    ran = Ran(cast(Any, SimpleNamespace(path=box)), "01_optimization", cast(Ended, None), None)
    return ran.take_kept(target)


def test_kept_tables_are_taken_by_plain_names_and_nothing_else_is(tmp_path: Path) -> None:
    box, target = tmp_path / "box", tmp_path / "target"
    folder = kept_in(box)
    write_deltalake(folder / "answers" / "tuned", pa.table({"a": [1]}))
    write_deltalake(folder / "tables" / "mine" / "lines", pa.table({"a": [1]}))
    write_deltalake(folder / "tables" / "mine" / "o'lines", pa.table({"a": [1]}))
    (folder / "tables" / "linked").symlink_to("/etc")
    (folder / "answers" / "loop").symlink_to("/etc")
    os.mkfifo(folder / "answers" / "pipe")
    (box / "workspace" / "01_optimization" / "kept" / "9z.9").mkdir()
    refused = take(box, target)
    assert sorted(path.parent.relative_to(target).as_posix() for path in target.rglob("_delta_log")) == [
        *("1a.3/answers/tuned", "1a.3/tables/mine/lines"),
    ]
    assert len(refused) == 2 and all("1a.3/answers" in sentence for sentence in refused)
    assert take(tmp_path / "nothing", tmp_path / "empty") == []


def test_kept_tables_share_one_budget_by_apparent_size(tmp_path: Path) -> None:
    folder = kept_in(tmp_path / "box")
    for name in ("a", "b"):
        (folder / "answers" / name).mkdir(parents=True)
        with (folder / "answers" / name / "sparse").open("wb") as file:
            file.truncate(KEPT_BYTES * 2 // 3)
    (folder.parent / "1a.2").symlink_to(folder)
    limited = Path(tmp_path, "target")
    import grader.judging.submission as submission

    submission.KEPT_BYTES, before = 2**20, submission.KEPT_BYTES
    try:
        for name in ("a", "b"):
            os.truncate(folder / "answers" / name / "sparse", 2**19 + 2**18)
        refused = take(tmp_path / "box", limited)
    finally:
        submission.KEPT_BYTES = before
    assert [sentence.split(" was refused")[0] for sentence in refused] == ["What was kept as 1a.3/answers/b"]


def test_the_judge_lays_only_kept_tables_that_stay_in_their_folder(tmp_path: Path) -> None:
    folder = tmp_path / "kept" / "1a.3"
    for place in (
        "answers/tuned",
        "answers/out",
        "tables/mine/lines",
        "tables/mine/transactions",
        "tables/global_temp/x",
    ):
        write_deltalake(folder / place, pa.table({"a": [1]}))
    log = folder / "answers" / "out" / "_delta_log" / f"{1:020}.json"
    log.write_text(
        '{"add": {"path": "/box/in/secret.parquet", "size": 1, "dataChange": true, "modificationTime": 0, "partitionValues": {}}}'
    )
    court = Court("01_optimization", 7, [], tmp_path / "tables", launch=plain_child)
    rows, tables = court.kept(registry.step("1a.3"))
    assert set(rows) == {"tuned"} and set(tables) == {("mine", "lines")}
    assert not court.clean


def test_a_refused_plan_is_judged_by_its_kept_rows_and_no_plan_of_it_is_used(tmp_path: Path) -> None:
    step = registry.step("1a.3")
    claims = {
        "columns": ["a"],
        "plan": base64.b64encode(plan("SELECT reflect('a', 'b')")).decode(),
        "refused": "",
        "kept": "/etc",
    }
    Evidence(step.id, 7, {"tuned": claims}, lost={}).save(tmp_path)
    rows = tmp_path / "rows"
    answer = admit(step, tmp_path / "1a.3.json", 7, None, LAB, {"tuned": rows}).answers["tuned"]
    assert answer["kept"] == str(rows) and answer["plan"] == "" and "reflect" in answer["refused"]
    evidence = admit(step, tmp_path / "1a.3.json", 7, None, LAB)
    assert "`tuned` was refused: The SQL" in evidence.problems["tuned"]
    # A plan that can be replayed is, whatever else was kept.
    honest = {
        **claims,
        "plan": base64.b64encode(plan("SELECT week FROM transactions")).decode(),
        "refused": "so it says",
    }
    Evidence(step.id, 7, {"tuned": honest}, lost={"tuned": "x"}).save(tmp_path)
    evidence = admit(step, tmp_path / "1a.3.json", 7, None, LAB, {"tuned": rows})
    assert set(evidence.answers["tuned"]) == {"columns", "plan"} and evidence.lost == {}


def test_refused_statements_in_the_evidence_cost_only_the_plans_that_need_them(tmp_path: Path) -> None:
    step = registry.step("1a.3")
    views = (
        sql_command("CREATE TEMP VIEW bad AS SELECT reflect('a', 'b')"),
        sql_command("CREATE TEMP VIEW v AS SELECT 1"),
    )
    for query, said in (("SELECT * FROM v", ""), ("SELECT * FROM bad", "the view 'bad'")):
        answer = {"columns": [], "plan": base64.b64encode(plan(query)).decode()}
        Evidence(step.id, 7, {"tuned": answer}, views=views).save(tmp_path)
        evidence = admit(step, tmp_path / "1a.3.json", 7, None, LAB)
        assert evidence.views == views[1:]
        assert said in evidence.problems.get("tuned", "")
        assert bool(evidence.problems) == bool(said)
