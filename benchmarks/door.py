"""(h) What the SQL door costs: the start of its JVM, and of a warm statement the share that goes into reading, rewriting and asking again."""

from __future__ import annotations

import secrets
import time
from statistics import median
from typing import Any

import psutil
from rich.console import Console

from benchmarks.figures import Figure, Result
from benchmarks.ground import Ground
from labs_lib.workspace import identity, serving
from labs_lib.workspace.ground.core import Workspace
from labs_lib.workspace.sql import statements
from labs_lib.workspace.sql.model import Statement

ROUNDS = 30
TABLES = (
    "CREATE TABLE main.default.emp AS SELECT CAST(id AS INT) AS id, concat('p', id) AS name, CAST(id * 10 AS INT) AS salary FROM range(1000)",
    "CREATE FUNCTION main.default.hide(x INT) RETURNS INT RETURN CASE WHEN is_account_group_member('payroll') THEN x END",
    "ALTER TABLE main.default.emp ALTER COLUMN salary SET MASK main.default.hide",
    "CREATE VIEW main.default.names AS SELECT id, name, salary FROM main.default.emp WHERE id > 10",
)
QUERIES = {
    "a masked table": "SELECT max(salary), count(*) FROM emp WHERE id < 500",
    "a view of it, joined": "SELECT count(*) FROM names n JOIN emp e ON n.id = e.id WHERE e.name LIKE 'p1%'",
}


def measure(place: Ground, console: Console) -> Result:
    """Statements of the learner's on a workspace of its own, one after the other."""
    began = time.monotonic()
    workspace = serving.opened(place.fresh("door"), f"dapi{secrets.token_hex(16)}")
    workspace.start()
    opened = time.monotonic() - began
    try:
        began = time.monotonic()
        _run(workspace, "SELECT 1")
        started = time.monotonic() - began
        for text in TABLES:
            _run(workspace, text)
        shares = {name: _share(workspace, text) for name, text in QUERIES.items()}
        memory = psutil.Process(statements.runner(workspace).door.jvm.process.pid).memory_info().rss
    finally:
        workspace.stop()
    figures = [
        Figure("h", "workspace opened, no Spark", opened, "s", 0.8),
        Figure("h", "first statement, its JVM's start included", started, "s", 10),
        Figure("h", "memory of the door's JVM", memory / 2**20, "MiB", 1200),
    ]
    for name, (total, guarding) in shares.items():
        figures += [
            Figure("h", f"{name}: a warm statement", 1000 * total, "ms"),
            Figure("h", "  of it before it runs", 1000 * guarding, "ms"),
            Figure("h", "  the share of that", 100 * guarding / total, "%"),
        ]
    return Result(
        tuple(figures),
        f"(h) Medians of {ROUNDS} statements each, after ten that warm up.",
        {"shares": shares},
    )


def _run(workspace: Workspace, text: str) -> None:
    with workspace.transaction() as ctx:
        learner = identity.as_user(ctx, identity.LEARNER)
    statement = Statement("benchmark", text, learner, "main", "default")
    statements.runner(workspace).door.execute(workspace, statement)


def _share(workspace: Workspace, text: str) -> tuple[float, float]:
    """Median seconds of a statement, and of what comes before it runs."""
    jvm: Any = statements.runner(workspace).door.jvm
    plain, running = jvm.run, [0.0]

    def timed(*arguments: Any) -> Any:
        began = time.monotonic()
        try:
            return plain(*arguments)
        finally:
            running[0] = time.monotonic() - began

    jvm.run = timed
    found = []
    try:
        for number in range(10 + ROUNDS):
            began = time.monotonic()
            _run(workspace, text)
            if number >= 10:
                total = time.monotonic() - began
                found.append((total, total - running[0]))
    finally:
        jvm.run = plain
    return median(total for total, _ in found), median(guarding for _, guarding in found)
