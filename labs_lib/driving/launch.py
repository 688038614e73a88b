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
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from labs_lib.driving import child

Launch = Callable[[], AbstractContextManager[socket.socket]]

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


def command(descriptor: int) -> list[str]:
    """The command that runs a child which finds its connection at that descriptor."""
    return [sys.executable, "-I", str(PROGRAM), str(descriptor), json.dumps(LIMITS)]


@contextlib.contextmanager
def plain_child() -> Iterator[socket.socket]:
    """A child as a process of this user, in an empty folder, with nothing of this process's environment."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        ours, theirs = socket.socketpair()
        stack.enter_context(ours)
        with theirs:
            process = subprocess.Popen(
                command(theirs.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                cwd=folder,
                env={"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": folder},
                start_new_session=True,
            )
        try:
            yield ours
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
