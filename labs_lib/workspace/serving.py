"""Serving a workspace by uvicorn, in this thread or beside it."""

from __future__ import annotations

import socket
from pathlib import Path

import uvicorn

from labs_lib.workspace import app, identity
from labs_lib.workspace.ground.core import Workspace


def opened(home: Path, token: str) -> Workspace:
    """The workspace of that folder, whose learner's token is this one."""
    workspace = Workspace(home, app.SERVICES)
    with workspace.transaction() as ctx:
        identity.adopt(ctx, token)
    return workspace


def server(workspace: Workspace) -> uvicorn.Server:
    """A server for it, not started yet."""
    config = uvicorn.Config(
        app.make(workspace),
        loop="asyncio",
        http="h11",
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
        backlog=2048,
    )
    return uvicorn.Server(config)


def listening(port: int = 0) -> socket.socket:
    """A socket on loopback; port 0 takes any that is free."""
    # TCP by name: asyncio sends small packets at once only on such, and each answer would wait 40 ms for an acknowledgement.
    opened = socket.socket(proto=socket.IPPROTO_TCP)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.bind(("127.0.0.1", port))
    opened.listen(2048)
    return opened
