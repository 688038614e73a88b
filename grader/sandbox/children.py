"""A box of its own for whoever tries a definition: handed out at a door that a judge in its own sandbox can reach.

The judge connects to a Unix socket, and that very connection becomes the child's in a new sandbox: nobody stands between the two, and
nothing of what they say is read here. The child sees Python, its packages and the part of `labs_lib` that learners' code
works with; no network, no data, no seed, no checks. When the judge hangs up, or the child's limits are passed, the box is gone.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import labs_lib
from grader.sandbox import cgroup, first_program, runner
from grader.sandbox.runner import Limits
from grader.vetting.removal import temporary_folder
from labs_lib.driving import launch
from labs_lib.errors import LabsError

AT_ONCE = 2  # children of one judge; the next connection waits
LOOK_EVERY = 0.2  # seconds between looks at whether to end
LIMITS = Limits(
    memory=2 * launch.MEMORY,
    processes=64,
    file_size=16 * 2**20,
    disk=64 * 2**20,
    files=1000,
    wall=600.0,
    output=2**20,
    scratch=16 * 2**20,
)
WITHHELD = {"checking", "checks", "__pycache__"}  # folders of labs_lib that say what a right answer is


class Door:
    """Where children are handed out. `problems` are sentences about boxes that could not be set up."""

    def __init__(self, folder: Path) -> None:
        """Open a door in a folder that the judge sees; `serving` lets it be used."""
        self.name = folder / "children"
        self.problems: list[str] = []
        self._stop = threading.Event()
        self._places = threading.Semaphore(AT_ONCE)
        self._threads: list[threading.Thread] = []

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Hand out children for as long as the block runs; afterwards none is alive."""
        with socket.socket(socket.AF_UNIX) as door:
            with _short(self.name) as name:
                door.bind(name)
            self.name.chmod(0o666)  # the judge's user is another one
            door.listen(16)
            opener = threading.Thread(target=self._open, args=(door,), daemon=True)
            opener.start()
            try:
                yield
            finally:
                self._stop.set()
                for thread in (opener, *self._threads):
                    thread.join()

    def _open(self, door: socket.socket) -> None:
        door.settimeout(LOOK_EVERY)
        while not self._stop.is_set():
            if not self._places.acquire(timeout=LOOK_EVERY):
                continue
            try:
                connection = door.accept()[0]
            except TimeoutError:
                self._places.release()
                continue
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            self._threads.append(threading.Thread(target=self._live, args=(connection,), daemon=True))
            self._threads[-1].start()

    def _live(self, connection: socket.socket) -> None:
        """One child, from the connection to its end."""
        ended, stop = threading.Event(), threading.Event()
        watch = threading.Thread(target=self._watch, args=(connection, ended, stop), daemon=True)
        watch.start()
        try:
            with temporary_folder(f"{cgroup.PREFIX}{os.getpid()}-") as folder:
                box = folder / "box"
                box.mkdir()
                how = runner.run(
                    launch.command(first_program.CHANNEL),
                    box,
                    readonly=visible(),
                    environment={},
                    limits=LIMITS,
                    stop=stop,
                    channel=connection.fileno(),
                )
            if how.reason == "machine":
                self.problems.append(how.sentence)
        except (LabsError, OSError) as error:
            self.problems.append(str(error))
        finally:
            ended.set()
            with contextlib.suppress(OSError):  # the judge has hung up already
                connection.shutdown(socket.SHUT_RDWR)
            watch.join()
            connection.close()
            self._places.release()

    def _watch(self, connection: socket.socket, ended: threading.Event, stop: threading.Event) -> None:
        """End the child when the judge hangs up."""
        poll = select.poll()
        poll.register(connection, select.POLLRDHUP)
        while not ended.is_set():
            if self._stop.is_set() or poll.poll(LOOK_EVERY * 1000):
                stop.set()
                return


def boxed_child(door: Path) -> AbstractContextManager[socket.socket]:
    """The launch of a judge in its sandbox: a child in a box, from the door of that name."""
    connection = socket.socket(socket.AF_UNIX)
    with _short(door) as name:
        connection.connect(name)
    return connection


def visible() -> list[Path]:
    """The files of labs_lib that a child sees."""
    root = Path(labs_lib.__file__).resolve().parent
    files = (path for pattern in ("*.py", "*.toml") for path in root.rglob(pattern))
    return sorted(path for path in files if not WITHHELD & set(path.relative_to(root).parts))


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name for a socket in a folder whose own name may be longer than a socket's address may be."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
