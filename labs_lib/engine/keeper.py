"""Keeping one background service a folder: loopback only, found by a state file that the user alone can read.

The state file, `server.json`, is written when the service answers. A lock around start and stop makes two notebooks that start at the
same moment share one service. What the service is, and how it starts, its own module says.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import filelock
import psutil

from labs_lib.errors import LabsError

LOOK_EVERY = 5.0  # seconds between looks at whether a service is in use
STATE = "server.json"
LOOPBACK = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Kept:
    """A running service. `created` is the process's start time, which tells it from a later one of the same pid."""

    pid: int
    created: float
    port: int


K = TypeVar("K", bound=Kept)


def recorded(folder: Path, kind: type[K]) -> K | None:
    """The service that the folder's state file names, alive or not."""
    try:
        return kind(**json.loads((folder / STATE).read_text()))
    except (FileNotFoundError, json.JSONDecodeError, TypeError):
        return None


def is_alive(kept: Kept) -> bool:
    """Whether that very process runs and its port accepts connections."""
    return _process(kept) is not None and accepts(kept.port)


def running(folder: Path, kind: type[K]) -> K | None:
    """The folder's service, if it runs."""
    kept = recorded(folder, kind)
    return kept if kept and is_alive(kept) else None


def ensure(
    folder: Path,
    kind: type[K],
    start: Callable[[], K],
    patience: float,
    recorded_now: Callable[[], object] = lambda: None,
) -> K:
    """The folder's service, started by `start` if it does not run. `patience` is the most seconds that a start takes.

    `recorded_now` is called after a start, when the state file names the service. Raises LabsError, as `start` does, if it can't be had.
    From then on this process and those that it starts reach loopback without a proxy.
    """
    bypass_proxies()
    if kept := running(folder, kind):
        return kept
    with locked(folder, patience):
        if kept := running(folder, kind):  # another notebook was faster
            return kept
        if stale := recorded(folder, kind):
            _terminate(stale)
        kept = start()
        write_privately(folder / STATE, asdict(kept))
        (folder / "stopped").unlink(missing_ok=True)
        recorded_now()
        return kept


def bypass_proxies() -> None:
    """Have loopback stand in `no_proxy`: who has HTTP_PROXY set rarely has that, and gRPC, requests and urllib then ask the proxy for it."""
    for name in (
        "no_proxy",
        "NO_PROXY",
    ):  # both are read; where both are set, which one counts differs by library
        hosts = [host for host in os.environ.get(name, "").split(",") if host.strip()]
        os.environ[name] = ",".join([*hosts, *(host for host in LOOPBACK if host not in hosts)])


def stop(folder: Path, kind: type[Kept], reason: str, patience: float) -> bool:
    """Stop the folder's service if there is one, noting why; tells whether there was."""
    with locked(folder, patience):
        kept = recorded(folder, kind)
        if kept is None:
            return False
        existed = _terminate(kept)
        note_stopped(folder, reason)
        return existed


def note_stopped(folder: Path, reason: str) -> None:
    """Have the folder name no service any more, and say why. The caller holds its lock."""
    (folder / STATE).unlink(missing_ok=True)
    (folder / "stopped").write_text(reason)


def why_stopped(folder: Path) -> str:
    """Why the folder's last service is gone: `command`, `idle`, or `killed` when nobody says."""
    try:
        return (folder / "stopped").read_text()
    except FileNotFoundError:
        return "killed"


def locked(folder: Path, patience: float) -> filelock.BaseFileLock:
    """The folder's lock, made with its folder if need be: held while its service starts or stops."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return filelock.FileLock(folder / ".lock", timeout=2 * patience)


def launch(
    command: Sequence[str], folder: Path, environment: dict[str, str], told: bytes = b""
) -> subprocess.Popen[bytes]:
    """Start a service's process without waiting for it: its own session, its log in the folder's `server.log`.

    `told` comes to it by its standard input: a secret there is in no list of processes.
    """
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if told else subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            start_new_session=True,  # Ctrl-C in a notebook or terminal is not for the service
        )
    if process.stdin:
        with contextlib.suppress(BrokenPipeError), process.stdin:  # it has ended, which its log explains
            process.stdin.write(told)
    return process


def wait_until_up(
    process: subprocess.Popen[bytes],
    port: int,
    patience: float,
    look_every: float,
    ended: Callable[[], str],
    silent: Callable[[], str],
) -> None:
    """Return when the port accepts connections.

    Raises LabsError with what `ended` says if the process ends before, or what `silent` says, having killed it, after `patience` seconds.
    """
    deadline = time.monotonic() + patience
    while not accepts(port):
        if process.poll() is not None:
            raise LabsError(ended())
        if time.monotonic() > deadline:
            process.kill()
            raise LabsError(silent())
        time.sleep(look_every)


def watch(kept: Kept, limit: float, in_use: Callable[[], bool]) -> str:
    """Wait until the service ends by itself (`ended`) or has been out of use for `limit` seconds (`idle`)."""
    idle_since = time.monotonic()
    while is_alive(kept):
        try:
            if in_use():
                idle_since = time.monotonic()
        except psutil.NoSuchProcess:
            break
        if time.monotonic() - idle_since >= limit:
            return "idle"
        time.sleep(min(LOOK_EVERY, limit))
    return "ended"


def created(pid: int) -> float:
    """When a process began, as `Kept` has it."""
    return psutil.Process(pid).create_time()


def free_port() -> int:
    """A TCP port that was free on loopback a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def accepts(port: int) -> bool:
    """Whether something accepts connections at that port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def write_privately(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file that the user alone can read, whole or not at all."""
    scratch = path.with_suffix(".tmp")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file, indent=1)
    scratch.replace(path)


def _process(kept: Kept) -> psutil.Process | None:
    try:
        process = psutil.Process(kept.pid)
        same = abs(process.create_time() - kept.created) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return None
    return process if same else None


def _terminate(kept: Kept) -> bool:
    process = _process(kept)
    if process is None:
        return False
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except psutil.TimeoutExpired:
        process.kill()
    return True
