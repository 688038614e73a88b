"""Spark sessions: on the local server, or on the cluster that SPARK_REMOTE names.

A notebook holds one session. When the local server is gone, `recover` replaces server and session and says so.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyspark.sql.connect.proto as proto
from pyspark.logger import PySparkLogger
from pyspark.sql.connect.client.retries import DefaultPolicy
from pyspark.sql.connect.session import SparkSession

from labs_lib import settings
from labs_lib.engine import batches, builder, delta_table, first_rows, keeper, server
from labs_lib.vetting import statements

LOST = {
    "closed": "The lab's Spark session had been closed.",
    "idle": "The Spark server had stopped because nothing used it for a while.",
    "command": "The Spark server had been stopped by `labs stop`.",
    "killed": "The Spark server had ended unexpectedly.",
}
REPLACED = (
    " A new one is running now. Tables are still there; DataFrames, temporary views and caches made before are gone, "
    "so run the cells that made them again."
)

STAYS = (
    "The lab's Spark session stays: its server is shared by all notebooks, so stop() ends nothing here. Tables, views and settings "
    "are as before. Restart the kernel for a new session; `labs stop` stops the server."
)


@dataclass(frozen=True)
class Connection:
    """A session and the local server it is on (None when SPARK_REMOTE names the server)."""

    spark: SparkSession
    server: server.Server | None

    @property
    def ui(self) -> str | None:
        """Address of the Spark UI, if known."""
        return self.server.ui if self.server else settings.spark_ui()


_connection: Connection | None = None
_on_connect: list[Callable[[SparkSession], None]] = []
_views: list[str] = []
# May make or change a view, a function, a variable or the current database; labs_lib.vetting.statements looks closer.
_DEFINES = re.compile(
    r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*+"
    r"(?:CREATE(?!\s+(?:OR\s+REPLACE\s+)?TABLE\b)|CACHE|DECLARE|SET\s+VAR|USE|DROP|ALTER\s+VIEW)",
    re.IGNORECASE | re.DOTALL,
)


def connection() -> Connection:
    """This process's connection, made on first need and made anew when its server is gone.

    Raises LabsError if no server can be started.
    """
    global _connection
    if _connection is None or is_lost(_connection):
        if _connection is not None:
            _abandon(_connection)
        _connection = None
        fresh = _connect()
        try:
            for action in _on_connect:
                action(fresh.spark)
        except BaseException:  # a session in which nothing is where it belongs is nobody's
            _abandon(fresh)
            raise
        _connection = fresh
        _watch_notebook()
    return _connection


def connected() -> Connection | None:
    """This process's connection if there is one whose server lives; none is made."""
    return None if _connection is None or is_lost(_connection) else _connection


def expect() -> None:
    """Let pyspark's own ways to a session lead here before there is one: the first of them connects."""
    builder.lead_to(lambda: connection().spark, "")


def on_connect(action: Callable[[SparkSession], None]) -> None:
    """Have `action` called, once, with the session of every later connection of this process."""
    if action not in _on_connect:
        _on_connect.append(action)


def is_lost(current: Connection) -> bool:
    """Whether that connection is of no more use: its session was closed, or its server is gone.

    A server that SPARK_REMOTE names is not ours to replace, so it is not looked at.
    """
    if current.spark.is_stopped:
        return True
    return current.server is not None and not keeper.is_alive(current.server)


def recover() -> str | None:
    """If this process's session or server is gone, replace it and return a sentence for the learner; else None."""
    if _connection is None or not is_lost(_connection):
        return None
    lost = _connection
    # Another notebook may have replaced the server already: then only the session is new.
    reason = server.why_stopped() if server.running() is None else "killed"
    if lost.server is None or keeper.is_alive(lost.server):
        reason = "closed"
    fresh = connection()
    for namespace in _namespaces():
        for name, value in list(namespace.items()):
            if value is lost.spark:
                namespace[name] = fresh.spark
    return LOST.get(reason, LOST["killed"]) + REPLACED


def changed_conf(spark: SparkSession) -> dict[str, str]:
    """The `spark.sql` and Delta settings of a session that are not the defaults, by name."""
    wanted = ("spark.sql.", "spark.databricks.")
    return {row.key: row.value for row in spark.sql("SET").collect() if row.key.startswith(wanted)}


@contextlib.contextmanager
def spark_conf(spark: SparkSession, values: Mapping[str, object]) -> Iterator[None]:
    """Spark settings for a `with` block; afterwards each is what it was before.

    `spark.conf.unset` would not do: it gives Spark's own default, not the value that the server was started with.
    """
    before = {name: spark.conf.get(name, None) for name in values}
    try:
        for name, value in values.items():
            spark.conf.set(name, str(value).lower() if isinstance(value, bool) else str(value))
        yield
    finally:
        for name, old in before.items():
            if old is None:
                spark.conf.unset(name)
            else:
                spark.conf.set(name, old)


def view_commands() -> tuple[str, ...]:
    """The commands that made this session's views, functions and variables, in order, each a `spark.connect.Command` in base64.

    A DataFrame's plan names these and does not hold them: whoever analyses the plan elsewhere needs them first. Others that begin
    alike may be among them.
    """
    return tuple(_views)


def _remember_views(spark: SparkSession) -> None:
    """Note the commands that this session's client sends and that define what a plan may name."""
    _views.clear()
    send, fetch = spark.client.execute_command, spark.client.to_table

    def execute_command(command: proto.Command, *arguments: Any, **options: Any) -> Any:
        outcome = send(command, *arguments, **options)
        if command.HasField("create_dataframe_view") or _DEFINES.match(statements.sql_of(command)):
            _views.append(base64.b64encode(command.SerializeToString()).decode())
        elif command.HasField("register_function"):
            named = proto.Command()  # its code stays here
            named.register_function.function_name = command.register_function.function_name
            _views.append(base64.b64encode(named.SerializeToString()).decode())
        return outcome

    def to_table(plan: proto.Plan, *arguments: Any, **options: Any) -> Any:
        outcome = fetch(plan, *arguments, **options)
        if plan.root.HasField("catalog") and (statement := statements.of_catalog(plan.root.catalog)):
            _views.append(statements.sql_command(statement))
        return outcome

    spark.client.execute_command = execute_command  # type: ignore[method-assign]
    spark.client.to_table = to_table  # type: ignore[method-assign]


def close() -> None:
    """End this process's session. Never waits for a server that is gone."""
    global _connection
    current, _connection = _connection, None
    if current is None:
        return
    if is_lost(current):
        _abandon(current)
    else:
        with contextlib.suppress(Exception):  # the process is ending: there is nobody left to tell
            SparkSession.stop(current.spark)


def _connect() -> Connection:
    # `pyspark.sql.functions` asks this variable whether to build Connect expressions; pyspark's own builder sets it too.
    os.environ["SPARK_CONNECT_MODE_ENABLED"] = "1"
    address = settings.remote()
    local = None if address else server.ensure()
    spark = SparkSession.builder.remote(address or local.remote).create()  # type: ignore[union-attr]
    if local:
        # The client's default is to try for ten minutes, which suits a cluster; a dead loopback server stays dead.
        policy = DefaultPolicy(max_retries=3, initial_backoff=50, max_backoff=500)
        spark.client.set_retry_policies([policy])
    _remember_views(spark)
    _make_the_only_one(spark, address or local.remote)  # type: ignore[union-attr]
    if local:
        delta_table.explain()
        batches.lead()
    # The client logs each error that has a place in the learner's code as a line of JSON, though it is raised as well.
    for name in ("DataFrameQueryContextLogger", "SQLQueryContextLogger"):
        PySparkLogger.getLogger(name).disabled = True
    return Connection(spark, local)


def _make_the_only_one(spark: SparkSession, address: str) -> None:
    """Let all of pyspark's ways to a session lead to this one, and let none of them end it."""
    # pyspark sets these itself only where they are empty, and a lost session is still there.
    SparkSession._default_session = spark
    SparkSession._active_session.session = spark
    builder.lead_to(lambda: connection().spark, address)
    spark.stop = lambda: print(STAYS)  # type: ignore[method-assign]


def _abandon(current: Connection) -> None:
    """Close the channel without the release calls that would wait for an answer."""
    with contextlib.suppress(Exception):
        current.spark.client._channel.close()
    current.spark.client._closed = True


def _namespaces() -> list[dict[str, object]]:
    main = sys.modules.get("__main__")
    return [vars(main)] if main else []


def _watch_notebook() -> None:
    """In IPython, look before each cell whether the server lives, and end the session with the kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is not None and _before_cell not in shell.events.callbacks["pre_run_cell"]:
        shell.events.register("pre_run_cell", _before_cell)
        first_rows.show_in(shell)
        # IPython's own atexit hook runs late, after threads were joined; a hook of `threading` runs before that.
    import threading

    if not getattr(_watch_notebook, "registered", False):
        threading._register_atexit(close)  # type: ignore[attr-defined]
        _watch_notebook.registered = True  # type: ignore[attr-defined]


def _before_cell(info: object = None) -> None:
    sentence = recover()
    if sentence:
        print(sentence)
