"""The service's process: `python -m labs_lib.workspace FOLDER PORT`, with the learner's token on its standard input."""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import uvicorn

from labs_lib import settings
from labs_lib.engine import keeper
from labs_lib.errors import LabsError
from labs_lib.workspace import serving
from labs_lib.workspace.ground.core import Workspace
from labs_lib.workspace.process import PATIENCE, Service


def main(folder: Path, port: int, token: str) -> None:
    """Serve the folder's workspace until it is told to end, or has not been used for LABS_IDLE_MINUTES.

    It writes the state file itself: whoever began to start it may be gone by now.
    """
    workspace = serving.opened(folder, token)
    pid = os.getpid()
    service = Service(pid, keeper.created(pid), port, token, str(folder), time.strftime("%Y-%m-%d %H:%M:%S"))
    workspace.address = service.address
    server = serving.server(workspace)
    # Before the port answers, which says that it is there.
    keeper.write_privately(folder / keeper.STATE, asdict(service))
    listening = serving.listening(port)
    threading.Thread(
        target=end_when_idle,
        args=(folder, workspace, server, service, settings.idle_minutes() * 60),
        daemon=True,
    ).start()
    server.run(sockets=[listening])


def end_when_idle(
    folder: Path, workspace: Workspace, server: uvicorn.Server, service: Service, limit: float
) -> None:
    """Let the server end, and say so in the folder, once nobody has asked anything of it and no service was at work for `limit` seconds.

    It ends without a word when the folder names another, or is gone: then nobody finds it any more.
    """

    def in_use() -> bool:
        if keeper.recorded(folder, Service) != service:
            server.should_exit = True
        return workspace.was_used()

    if keeper.watch(service, limit, in_use) == "idle":
        with keeper.locked(folder, PATIENCE):
            if keeper.recorded(folder, Service) == service:
                keeper.note_stopped(folder, "idle")
            server.should_exit = True


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), int(sys.argv[2]), sys.stdin.read())
    except LabsError as error:
        sys.exit(str(error))
