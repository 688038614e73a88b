"""A box of its own for whoever tries a definition: handed out at a door that a judge in its own sandbox can reach.

The judge connects to a Unix socket, and that very connection becomes the child's in a new sandbox: nobody stands between the two, and
nothing of what they say is read here. The child sees Python, its packages and the part of `labs_lib` that learners' code
works with; no network, no data, no seed, no checks. A second door hands out boxes with room for Spark and other programs. When the judge hangs up, or the child's limits are passed, the box is gone.
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
from grader.sandbox.runner import Ended, Limits
from grader.sandbox.workbox import workbox
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
ENGINE_LIMITS = Limits(
    memory=4 * 2**30, disk=2 * 2**30, files=50_000, wall=900.0, output=2**20
)  # and their other defaults
ENGINE_HEAP = "1536m"  # of a Spark server in such a box
WITHHELD = {"checking", "checks", "__pycache__"}  # folders of labs_lib that say what a right answer is


class Door:
    """Where children are handed out. `problems` are sentences about boxes that could not be set up."""

    def __init__(self, folder: Path, engine: bool = False) -> None:
        """Open a door in a folder that the judge sees, for children with room for an engine or for others; `serving` lets it be used."""
        self.name = _name(folder / "children", engine)
        self._engine = engine
        self.problems: list[str] = []
        self._stop = threading.Event()
        self._places = threading.Semaphore(1 if engine else AT_ONCE)
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
            how = (_with_engine if self._engine else _bare)(connection.fileno(), stop)
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


def boxed_child(door: Path, engine: bool = False) -> AbstractContextManager[socket.socket]:
    """The launch of a judge in its sandbox: a child in a box, from the door of that name or, for `engine`, from the one beside it."""
    connection = socket.socket(socket.AF_UNIX)
    with _short(_name(door, engine)) as name:
        connection.connect(name)
    return connection


def _name(door: Path, engine: bool) -> Path:
    return door.with_name(f"{door.name}-with-engine") if engine else door


def _bare(channel: int, stop: threading.Event) -> Ended:
    """A child in an empty box, until it ends or is stopped."""
    with temporary_folder(f"{cgroup.PREFIX}{os.getpid()}-") as folder:
        box = folder / "box"
        box.mkdir()
        return runner.run(
            launch.command(first_program.CHANNEL),
            box,
            readonly=visible(),
            environment={},
            limits=LIMITS,
            stop=stop,
            channel=channel,
        )


def _with_engine(channel: int, stop: threading.Event) -> Ended:
    """A child in a box such as a learner's notebook has, with no data in it."""
    command = launch.command(first_program.CHANNEL, engine=True)
    with workbox([], [], protected=True) as box:
        return box.run(command, ENGINE_LIMITS, {"LABS_HEAP": ENGINE_HEAP}, stop, channel=channel)


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
