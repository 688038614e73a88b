"""Runs a command of a stranger's making so that it harms nothing and nothing of it is left.

`run` gives the command one writable folder, a read-only view of the system, no network but its own loopback,
and limits that are watched from outside. When it returns, by whatever way, every process inside is dead; the
same holds when the caller itself is killed. Rules: DESIGN.md, section 6. How it is built: tree.py.
"""

from __future__ import annotations

import functools
import os
import platform
import selectors
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from grader.sandbox import cgroup, process, watch
from grader.sandbox.cgroup import Group
from grader.sandbox.process import Standing
from grader.vetting.removal import temporary_folder
from labs_lib.engine.clock import OwnTime, waiting
from labs_lib.errors import LabsError

BOX = Path("/box")  # where the writable folder appears inside
FLAG = "--no-sandbox"  # what a caller must be given to go without

LOOK_EVERY = 0.25  # seconds between looks at memory and processes
DISK_PAUSE = 20  # a look at the disk is followed by a pause of this many times its length
TAIL = 64 * 2**10  # bytes of output that are kept
CHUNK = 64 * 2**10  # bytes of output taken at a time
OPEN_FILES = 2048  # per process; bounds the kernel's own memory, which nothing else counts
ADDRESSES = 8  # times the memory limit, of addresses per process: Java reserves more than it takes, and page tables are 1/512
RESERVE = (
    256 * 2**20
)  # bytes of the machine's memory below which a run is stopped, before the kernel stops whom it likes
NPROC_PER_NAMESPACE = (5, 14)  # the Linux version since which RLIMIT_NPROC leaves the caller's processes out

Reason = Literal["ended", "wall time", "memory", "processes", "disk", "output", "stopped", "machine"]
Breach = tuple[Reason, str]  # and a sentence


@dataclass(frozen=True)
class Limits:
    """What may be used in one sandbox.

    `processes` counts threads too, as the kernel does. `file_size` and `scratch` are met with errors inside
    (EFBIG, ENOSPC); the others end the run. What is in /tmp and /dev/shm counts as memory.
    """

    memory: int = 6 * 2**30  # bytes, of all processes together
    processes: int = 1024
    file_size: int = 2**30  # bytes, each file
    disk: int = 4 * 2**30  # bytes in the box
    files: int = 100_000  # files and folders in the box
    wall: float = 1800.0  # seconds of its own time (labs_lib.engine.clock)
    output: int = 16 * 2**20  # bytes of standard output and error
    scratch: int = 256 * 2**20  # bytes, each of /tmp and /dev/shm


@dataclass(frozen=True)
class Use:
    """What a sandbox uses at a look: bytes of memory, and seconds of its own time so far (labs_lib.engine.clock)."""

    memory: int
    seconds: float


@dataclass(frozen=True)
class Ended:
    """How a run ended: `returncode` is None unless the command ended by itself (128 + n: by signal n).

    The reason "machine" is the machine's fault and not the run's: nothing should be concluded from it.
    `sentence` is for a report; `output` is the last 64 KiB of standard output and error.
    """

    returncode: int | None
    reason: Reason
    sentence: str
    seconds: float
    output: str = field(repr=False)


@functools.cache
def available() -> None:
    """Return if sandboxes work here. Raises LabsError with what to install or which flag to give."""
    unprotected = (
        f"give {FLAG} to run them unprotected: learners' code then has all your rights on this machine"
    )
    if sys.platform != "linux":
        raise LabsError(
            f"Submissions run in a sandbox, and there is none for {platform.system()}; grade on Linux, or "
            f"{unprotected}."
        )
    try:
        with temporary_folder("sandbox-trial-") as folder:
            ended = run(["/usr/bin/env", "true"], folder, readonly=[], environment={}, limits=Limits())
        if ended.returncode != 0:
            raise LabsError(f"A trial of the sandbox failed: {ended.sentence} {ended.output.strip()[-200:]}")
    except LabsError as error:
        raise LabsError(
            f"{error} Submissions need a sandbox, which needs bubblewrap 0.8 or newer and user namespaces "
            "for unprivileged users (sysctl user.max_user_namespaces above 0; on Ubuntu also "
            "kernel.apparmor_restrict_unprivileged_userns=0; in a container, a runtime that allows them). "
            f"Or {unprotected}."
        ) from None


def run(
    command: Sequence[str],
    box: Path,
    *,
    readonly: Sequence[Path],
    environment: Mapping[str, str],
    limits: Limits,
    at: Path = BOX,
    on_output: Callable[[bytes], None] | None = None,
    stop: threading.Event | None = None,
    channel: int | None = None,
    on_look: Callable[[Use], object] | None = None,
) -> Ended:
    """Run `command` in a sandbox and return how it ended; nothing that ran inside is alive then.

    `box` is the one writable folder; inside it is `at`, the current folder and HOME. If the caller is root,
    the box is given to a user id of its own that the command runs as. `readonly` paths appear where they are
    on the host; this interpreter and its packages always do. The environment is `environment` with defaults
    for HOME, PATH and LANG. `on_output` gets the output as it comes and must return soon, for it holds up the
    watching, and so must `on_look`, which is told what is used. Setting `stop` ends the run. `channel` is a descriptor that the
    command has as first_program.CHANNEL.

    Raises LabsError if the sandbox cannot be set up; whatever else ends this call ends the sandbox too.
    """
    uid = process.own(box)
    with (
        cgroup.group(limits.memory, limits.processes) as group,
        process.standing(box, at, readonly, limits.scratch, uid, channel) as sandbox,
    ):
        # All of bubblewrap's processes wait for the plan now, so whatever comes later begins in the group.
        group.take([sandbox.process.pid, *(member.pid for member in watch.members(sandbox.first))])
        plan = {
            "command": list(command),
            "folder": str(at),
            "environment": {
                "HOME": str(at),
                "PATH": f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin",
                "LANG": "C.UTF-8",
                **environment,
            },
            "limits": _kernel_limits(limits, alone=uid is not None),
            "channel": channel,
        }
        process.send(sandbox, plan)
        return _watch(sandbox, group, box, limits, on_output, stop, on_look)


def _kernel_limits(limits: Limits, alone: bool) -> dict[str, int]:
    """Return the limits that the kernel enforces; `alone`: the user id has no processes elsewhere."""
    version = tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2])
    counted = {"RLIMIT_NPROC": limits.processes} if alone or version >= NPROC_PER_NAMESPACE else {}
    return {
        "RLIMIT_FSIZE": limits.file_size,
        "RLIMIT_CORE": 0,
        "RLIMIT_NOFILE": OPEN_FILES,
        "RLIMIT_AS": ADDRESSES * limits.memory,
        **counted,
    }


def _watch(
    sandbox: Standing,
    group: Group,
    box: Path,
    limits: Limits,
    on_output: Callable[[bytes], None] | None,
    stop: threading.Event | None,
    on_look: Callable[[Use], object] | None,
) -> Ended:
    """Take the output and look at what is used until the command ends or a limit is passed."""
    began = time.monotonic()
    next_look, disk = began, _disk_watch(box, limits)
    cpu, inside = 0.0, watch.members(sandbox.first)
    clock = OwnTime(lambda: cpu, lambda: waiting(member.pid for member in inside))
    tail, written = bytearray(), 0
    breach: Breach | None = None

    def take() -> bool:
        nonlocal written
        chunk = os.read(sandbox.output.fileno(), CHUNK)
        written += len(chunk)
        tail.extend(chunk)
        del tail[:-TAIL]
        if chunk and on_output is not None:
            on_output(chunk)
        return bool(chunk)

    with selectors.DefaultSelector() as selector:
        selector.register(sandbox.output, selectors.EVENT_READ)
        selector.register(sandbox.first_fd, selectors.EVENT_READ)
        ended = False
        while breach is None and not ended:
            for key, _ in selector.select(max(0.0, next_look - time.monotonic())):
                if key.fileobj is not sandbox.output:
                    ended = True  # the first process is the last to go
                elif not take():
                    selector.unregister(sandbox.output)  # everybody inside has closed it
            now = time.monotonic()
            if written > limits.output:
                breach = "output", f"It wrote more than {_size(limits.output)} of output and was stopped."
            elif group.ran_out_of_memory():
                breach = "memory", f"It used more than {_size(limits.memory)} of memory and was stopped."
            elif ended:
                breach = disk([], True)
            elif stop is not None and stop.is_set():
                breach = "stopped", "It was stopped by the grader."
            elif clock.passed() > limits.wall:
                breach = "wall time", f"It ran for more than {limits.wall:g} s and was stopped."
            elif now >= next_look:
                inside = watch.members(sandbox.first)
                cpu = sum(member.cpu for member in inside)
                used = _memory(inside, sandbox.scratch, limits)
                breach = _crowd(inside, used, limits) or disk(inside, False)
                if on_look is not None:
                    on_look(Use(used, clock.passed()))
                next_look = time.monotonic() + LOOK_EVERY
    seconds = time.monotonic() - began
    process.kill(sandbox.first_fd)
    while take():  # with every writer dead the pipe holds a remainder, then ends
        pass
    output = tail.decode(errors="replace")
    if breach is not None:
        return Ended(None, *breach, seconds, output)
    returncode = sandbox.process.wait()
    return Ended(returncode, "ended", _ending(returncode), seconds, output)


def _memory(inside: list[watch.Member], scratch: Sequence[int], limits: Limits) -> int:
    """Return the bytes of memory that these processes and folders take."""
    in_files = sum(map(watch.held_in_memory, scratch))
    return in_files + watch.memory(inside, limits.memory - in_files)


def _crowd(inside: list[watch.Member], used: int, limits: Limits) -> Breach | None:
    """Return what is wrong with the number of these processes or with the memory that is used, if anything."""
    # The kernel lets nobody past the limit, so a flood stays just at it.
    if sum(member.threads for member in inside) >= limits.processes:
        return "processes", f"It ran {limits.processes} processes and threads or more and was stopped."
    if used > limits.memory:
        return (
            "memory",
            f"It used {_size(used)} of memory, {_size(limits.memory)} are allowed; it was stopped.",
        )
    if (left := watch.available()) < RESERVE:
        return "machine", f"The machine had {_size(left)} of memory left; it was stopped for that."
    return None


def _disk_watch(box: Path, limits: Limits) -> Callable[[list[watch.Member], bool], Breach | None]:
    """Return a function that tells what is wrong with the space the box takes, if anything.

    A look costs a walk through the box, so one is only taken after a pause that fits its length, when the
    file system has lost half of what was left, or when it must be (`final`).
    """
    due, room, free_then = 0.0, 0, 0

    def look(inside: list[watch.Member], final: bool) -> Breach | None:
        nonlocal due, room, free_then
        began, status = time.monotonic(), os.statvfs(box)
        free = status.f_bfree * status.f_frsize
        if not final and began < due and free_then - free < room / 2:
            return None
        found = watch.space(box, limits.files, inside)
        now = time.monotonic()
        due, room, free_then = now + DISK_PAUSE * (now - began), limits.disk - found.used, free
        if found.used > limits.disk:
            return (
                "disk",
                f"Its files took {_size(found.used)}, {_size(limits.disk)} are allowed; it was stopped.",
            )
        if found.hidden:
            return (
                "disk",
                "It made folders that cannot be looked into, closed or nested too deep; it was stopped.",
            )
        if found.entries > limits.files:
            return "disk", f"It made more than {limits.files} files and folders and was stopped."
        return None

    return look


def _ending(returncode: int) -> str:
    if returncode == 0:
        return "It ended without an error."
    if returncode > 128:
        return f"It was ended by signal {returncode - 128}."
    return f"It ended with code {returncode}."


def _size(value: int) -> str:
    return f"{value / 2**30:.1f} GiB" if value >= 2**30 else f"{value / 2**20:.0f} MiB"
