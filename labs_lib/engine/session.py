"""Spark sessions: on the local server, or on the cluster that SPARK_REMOTE names.

A notebook holds one session. When the local server is gone, `recover` replaces server and session and says so.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass

from pyspark.sql.connect.client.retries import DefaultPolicy
from pyspark.sql.connect.session import SparkSession

from labs_lib import settings
from labs_lib.engine import server

LOST = {
    "idle": "The Spark server had stopped because nothing used it for a while.",
    "command": "The Spark server had been stopped by `labs stop`.",
    "killed": "The Spark server had ended unexpectedly.",
}
REPLACED = (
    " A new one is running now. Tables are still there; DataFrames, temporary views and caches made before are gone, "
    "so run the cells that made them again."
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


def connection() -> Connection:
    """This process's connection, made on first need and made anew when its server is gone.

    Raises LabsError if no server can be started.
    """
    global _connection
    if _connection is None or is_lost(_connection):
        if _connection is not None:
            _abandon(_connection)
        _connection = _connect()
        for action in _on_connect:
            action(_connection.spark)
        _watch_notebook()
    return _connection


def on_connect(action: Callable[[SparkSession], None]) -> None:
    """Have `action` called with the session of every later connection of this process."""
    _on_connect.append(action)


def is_lost(current: Connection) -> bool:
    """Whether the local server of that connection is gone. Never true of a remote one: it is not ours to replace."""
    return current.server is not None and not server.is_alive(current.server)


def recover() -> str | None:
    """If this process's server is gone, replace it and return a sentence for the learner; else None."""
    if _connection is None or not is_lost(_connection):
        return None
    lost = _connection
    # Another notebook may have replaced the server already: then only the session is new.
    reason = server.why_stopped() if server.running() is None else "killed"
    fresh = connection()
    for namespace in _namespaces():
        for name, value in list(namespace.items()):
            if value is lost.spark:
                namespace[name] = fresh.spark
    return LOST.get(reason, LOST["killed"]) + REPLACED


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
            current.spark.stop()


def _connect() -> Connection:
    address = settings.remote()
    local = None if address else server.ensure()
    spark = SparkSession.builder.remote(address or local.remote).create()  # type: ignore[union-attr]
    if local:
        # The client's default is to try for ten minutes, which suits a cluster; a dead loopback server stays dead.
        policy = DefaultPolicy(max_retries=3, initial_backoff=50, max_backoff=500)
        spark.client.set_retry_policies([policy])
    return Connection(spark, local)


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
        # IPython's own atexit hook runs late, after threads were joined; a hook of `threading` runs before that.
    import threading

    if not getattr(_watch_notebook, "registered", False):
        threading._register_atexit(close)  # type: ignore[attr-defined]
        _watch_notebook.registered = True  # type: ignore[attr-defined]


def _before_cell(info: object = None) -> None:
    sentence = recover()
    if sentence:
        print(sentence)
