"""Stops the server when no client has been connected for LABS_IDLE_MINUTES. Runs as a process of its own."""

from __future__ import annotations

import psutil

from labs_lib import settings
from labs_lib.engine import keeper, server


def has_clients(watched: server.Server) -> bool:
    """Whether any client holds a connection to the server's Connect port."""
    connections = psutil.Process(watched.pid).net_connections(kind="tcp")
    return any(c.laddr.port == watched.port and c.status == psutil.CONN_ESTABLISHED for c in connections)


def watch(watched: server.Server, limit: float) -> str:
    """Wait until the server ends by itself (`ended`) or has been without clients for `limit` seconds (`idle`)."""
    return keeper.watch(watched, limit, lambda: has_clients(watched))


if __name__ == "__main__":
    found = server.running()
    if found and watch(found, settings.idle_minutes() * 60) == "idle" and server.recorded() == found:
        server.stop("idle")
