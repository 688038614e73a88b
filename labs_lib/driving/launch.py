"""Starting a child. A launch gives the driver's end of the connection and takes the child away afterwards.

Here is the notebook's: a plain process, since the definition is the learner's own there. The grader has one that makes a box.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from labs_lib import settings
from labs_lib.driving import child


class Launch(Protocol):
    """Starts a child; `engine` gives it room for Spark and other programs (git, act, Terraform)."""

    def __call__(self, engine: bool = False) -> AbstractContextManager[socket.socket]: ...


PROGRAM = Path(child.__file__)
MEMORY = 512 * 2**20  # bytes of a child's own
# What the child sets for itself before it has seen the definition.
LIMITS = {
    "RLIMIT_DATA": MEMORY,
    "RLIMIT_FSIZE": 16 * 2**20,
    "RLIMIT_NOFILE": 128,
    "RLIMIT_CORE": 0,
    "RLIMIT_CPU": 120,
}
ENGINE_LIMITS = {"RLIMIT_FSIZE": 2**30, "RLIMIT_CORE": 0}
OF_THE_ENGINE = ("JAVA_HOME", "LABS_HEAP", "LABS_SPARK_UI", "SPARK_REMOTE")  # variables that say which Spark


def command(descriptor: int, engine: bool = False) -> list[str]:
    """The command that runs a child which finds its connection at that descriptor."""
    limits = ENGINE_LIMITS if engine else LIMITS
    return [sys.executable, "-I", str(PROGRAM), str(descriptor), json.dumps(limits)]


@contextlib.contextmanager
def plain_child(engine: bool = False) -> Iterator[socket.socket]:
    """A child as a process of this user, in an empty folder, with nothing of this process's environment but, for `engine`, where Spark is."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        ours, theirs = socket.socketpair()
        stack.enter_context(ours)
        with theirs:
            process = subprocess.Popen(
                command(theirs.fileno(), engine),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                cwd=folder,
                env={
                    "PATH": os.defpath,
                    "LANG": "C.UTF-8",
                    "HOME": folder,
                    **(_engine(folder) if engine else {}),
                },
                start_new_session=True,
            )
        try:
            yield ours
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _engine(folder: str) -> Mapping[str, str]:
    """The environment in which a child finds the user's own Spark server, and this Python's programs."""
    kept = {name: os.environ[name] for name in OF_THE_ENGINE if name in os.environ}
    return kept | {
        "PATH": os.pathsep.join((f"{sys.prefix}/bin", "/usr/local/bin", os.defpath)),
        "LABS_HOME": str(settings.home()),
        "LABS_WORKSPACE": f"{folder}/workspace",
    }
