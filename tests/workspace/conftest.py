"""A workspace in this process, behind its real HTTP server; no Spark."""

from __future__ import annotations

import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path

import httpx
import pytest
import uvicorn
from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config

from labs_lib.workspace import process, serving
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.core import Workspace


class Served:
    """A workspace that is served on a port of loopback; `http` has the learner's token, who is an admin."""

    def __init__(self, inside: Workspace, server: uvicorn.Server, address: str, token: str) -> None:
        self.home = inside.home
        self.inside = inside
        self.server = server
        self.address = address
        self.token = token
        # verify=False: to load the machine's certificates takes as long as to start a workspace, and loopback has none.
        headers = {"Authorization": f"Bearer {token}"}
        self.http = httpx.Client(base_url=address, headers=headers, timeout=30, verify=False)
        self._clients: dict[str | None, WorkspaceClient] = {}

    def audit_rows(self, action: str | None = None) -> list[sqlite3.Row]:
        """The audit log's rows so far, or those of one action."""
        with closing(sqlite3.connect(self.home / "workspace.db")) as db:
            db.row_factory = sqlite3.Row
            return db.execute(
                "SELECT * FROM audit WHERE ? IN (action_name, '') ORDER BY number", (action or "",)
            ).fetchall()

    def forget(self, user: str) -> None:
        """Make a new client for somebody at the next need."""
        self._clients.pop(user, None)

    def client(self, user: str | None = None) -> WorkspaceClient:
        """A client of the learner's, or of somebody else's who exists."""
        if user not in self._clients:
            self._clients[user] = client_of(self.address, self.token_for(user) if user else self.token)
        return self._clients[user]

    def token_for(self, user: str) -> str:
        """A token of somebody's."""
        answer = self.http.post("/api/labs/tokens", json={"user_name": user})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["token_value"])

    def transaction(self) -> AbstractContextManager[Context]:
        """The workspace's own transaction, after all that is due: for what services offer each other."""
        self.inside.settle()
        return self.inside.transaction()

    def advance(self, seconds: float) -> int:
        """Move the clock; returns the time in ms."""
        answer = self.http.post("/api/labs/clock", json={"advance": seconds})
        assert answer.status_code == 200, answer.text
        return int(answer.json()["now"])


def client_of(address: str, token: str) -> WorkspaceClient:
    """A client that gives up soon."""
    config = Config(
        host=address, token=token, auth_type="pat", retry_timeout_seconds=10, http_timeout_seconds=60
    )
    return WorkspaceClient(config=config)


ENDING: list[
    threading.Thread
] = []  # of workspaces that nobody waits for: each takes a fifth of a second to end


def serve(home: Path, wait: bool = True) -> Iterator[Served]:
    """Serve a workspace of that folder until the iterator goes on. Its end is waited for there, or else at the end of the tests."""
    token = f"dapi{secrets.token_hex(16)}"
    workspace = serving.opened(home, token)
    listening = serving.listening()
    workspace.address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    server = serving.server(workspace)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.002)
    served = Served(workspace, server, workspace.address, token)
    try:
        yield served
    finally:
        served.http.close()
        server.should_exit = True
        ENDING.append(thread)
        end(0 if wait else 3)


def end(most: int) -> None:
    """Wait until at most so many of the workspaces that are to end are still there."""
    while len(ENDING) > most:
        thread = ENDING.pop(0)
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture(scope="session", autouse=True)
def ended() -> Iterator[None]:
    """No workspace is left over."""
    yield
    end(0)


@pytest.fixture
def workspace(tmp_path: Path, ended: None) -> Iterator[Served]:
    """A new workspace."""
    yield from serve(tmp_path / "workspace", wait=False)


@pytest.fixture
def lab_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A lab's folder, in a LABS_HOME of its own, whose workspaces are stopped at the end."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("LABS_HOME", str(tmp_path / "home"))
    for name in ("DATABRICKS_HOST", "DATABRICKS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path / "lab O'Brien é"
    process.stop_all()
