"""The process that serves a folder's workspace: started on first need, kept as the Spark server is, found by its state file.

Address and token stay with the folder, so that a client, a configuration or a program of yesterday's still finds the workspace today.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from labs_lib import settings
from labs_lib.engine import keeper
from labs_lib.errors import LabsError

PATIENCE = 60.0  # seconds; a start takes well under one


@dataclass(frozen=True)
class Service(keeper.Kept):
    """A running workspace, and the token of its learner, who is an admin."""

    token: str
    folder: str
    started: str

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def page(self) -> str:
        """Address of the page for people, with the token that opens it once; the state file is as private as this."""
        return f"{self.address}/page/?token={self.token}"


def ensure(folder: Path) -> Service:
    """The service of that folder, started if it does not run. Raises LabsError with a sentence if it can't be."""
    return keeper.ensure(folder, Service, lambda: _start(folder), PATIENCE, lambda: _remember(folder))


def running(folder: Path) -> Service | None:
    """The service of that folder, if it runs."""
    return keeper.running(folder, Service)


def every() -> Iterator[Service]:
    """The services that were started from this LABS_HOME and run."""
    for pointer in sorted(_pointers().glob("*.txt")):
        if found := running(Path(pointer.read_text())):
            yield found


def stop(folder: Path, reason: str = "command") -> bool:
    """Stop the service of that folder if there is one; tells whether there was."""
    return keeper.stop(folder, Service, reason, PATIENCE)


def stop_all() -> list[str]:
    """Stop every service that was started from this LABS_HOME; returns their folders."""
    return [found.folder for found in list(every()) if stop(Path(found.folder))]


def _start(folder: Path) -> Service:
    port, token = _door(folder)
    command = [sys.executable, "-P", "-m", "labs_lib.workspace", str(folder), str(port)]
    process = keeper.launch(command, folder, dict(os.environ), told=token.encode())
    log = folder / "server.log"
    try:
        keeper.wait_until_up(
            process,
            port,
            PATIENCE,
            0.01,
            ended=lambda: f"The workspace ended while starting; the last line of {log} is: {_last_line(log)}",
            silent=lambda: f"The workspace did not answer within {PATIENCE:.0f} s; its log is {log}.",
        )
    except BaseException:
        process.kill()
        raise
    found = keeper.recorded(folder, Service)
    if found is None or found.pid != process.pid:
        process.kill()
        raise LabsError(f"Another program took port {port} while the workspace started; run the cell again.")
    return found


def _door(folder: Path) -> tuple[int, str]:
    """The port and token of the folder's workspace; a new port if another program has taken the former one."""
    path = folder / "door.json"
    try:
        known = json.loads(path.read_text())
        port, token = int(known["port"]), str(known["token"])
    except (OSError, ValueError, KeyError, TypeError):
        port, token = keeper.free_port(), f"dapi{secrets.token_hex(16)}"
    if keeper.accepts(port):
        port = keeper.free_port()
    keeper.write_privately(path, {"port": port, "token": token})
    return port, token


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else "nothing"


def _remember(folder: Path) -> None:
    """Let `labs status` and `labs stop` find the service, whatever folder they are called in."""
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    settings.usable(_pointers(), "LABS_HOME").joinpath(f"{name}.txt").write_text(str(folder))


def _pointers() -> Path:
    return settings.home() / "workspaces"
