"""What a sandbox uses: its processes, their memory, and the space that its folder takes.

Inputs are a process id or a folder of the host; nothing here runs inside. Figures come from proc(5). A
process or file that vanishes while it is looked at counts as nothing.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import stat
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from labs_lib.engine.clock import cpu_seconds

PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
TMPFS_FILE = 1024  # bytes of kernel memory for each file in a tmpfs, about
BLOCK = 512  # bytes, the unit of st_blocks on Linux
DEPTH = 100  # folders inside each other, of which some twenty are made by anything honest
LOOKS = 4  # at processes that seem to take too much memory, before it is believed


@dataclass(frozen=True)
class Member:
    """One process: its id, its number of threads, its resident bytes, and CPU seconds with those of children that ended."""

    pid: int
    threads: int
    resident: int
    cpu: float = 0.0


@dataclass(frozen=True)
class Space:
    """What a folder holds: allocated bytes, number of entries, whether a part could not be looked into."""

    used: int
    entries: int
    hidden: bool = False


def members(root: int) -> list[Member]:
    """Return the process `root` and everything below it, parents first.

    One pass over /proc: orphans in a process namespace become children of its first process, so none is lost.
    """
    found: dict[int, Member] = {}
    children: dict[int, list[int]] = defaultdict(list)
    for name in os.listdir("/proc"):
        if name.isdecimal() and (fields := stat_fields(int(name))):
            pid, parent = int(name), int(fields[1])
            found[pid] = Member(pid, max(1, int(fields[17])), int(fields[21]) * PAGE, cpu_seconds(fields))
            children[parent].append(pid)
    inside, todo = [], [root]
    while todo:
        pid = todo.pop()
        if pid in found:
            inside.append(found.pop(pid))
            todo += children[pid]
    return inside


def stat_fields(pid: int) -> list[str]:
    """Return the fields of /proc/<pid>/stat from the state on (field 3 of proc(5) is the first), or none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()  # the name before it may hold spaces and brackets


def memory(inside: Iterable[Member], limit: int) -> int:
    """Return the bytes of memory that these processes take together, with their page tables and at most their sockets.

    Resident bytes count shared pages once per process. Shared pages are only told apart, which is slow, when
    that sum is above `limit`. Between vfork(2) and exec a child has its parent's pages and both count them in full: Java starts
    each command so, and a server's gigabytes would count twice. Several looks in a row, as that state lasts a millisecond.
    """
    inside = list(inside)
    used = 0
    for _ in range(LOOKS):
        unseen = sum(page_tables(member.pid) for member in inside) + (
            sockets(inside[-1].pid) if inside else 0
        )
        used = unseen + sum(member.resident for member in inside)
        if used > limit:
            used = unseen + sum(map(_proportional, inside))
        if used <= limit or not inside:
            break
        inside = members(inside[0].pid)  # anew: who forks and ends would else have gone with its memory
    return used


def page_tables(pid: int) -> int:
    """Return the bytes of a process's page tables: 1/512 of all it has looked at, though it be one page of zeros mapped a million times."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
            if line.startswith("VmPTE:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return 0


def sockets(pid: int) -> int:
    """Return the most bytes that sockets in the network namespace of a process may hold.

    Queues of TCP are told, and count twice, as the kernel's own figures for each packet come to about as much. The others are only
    counted: each holds what its sender may have under way (net.core.wmem_default, which code inside can't raise; see seccomp.py).
    """
    held = 0
    with contextlib.suppress(OSError, ValueError, IndexError):
        counted = re.search(r"sockets: used (\d+)", Path(f"/proc/{pid}/net/sockstat").read_text())
        held += int(counted[1]) * _default_buffer() if counted else 0
        for family in ("tcp", "tcp6"):
            for line in Path(f"/proc/{pid}/net/{family}").read_text().splitlines()[1:]:
                held += 2 * sum(int(number, 16) for number in line.split()[4].split(":"))
    return held


def available() -> int:
    """Return the bytes of memory that the machine has left for programs. Source: MemAvailable in proc(5)."""
    return psutil.virtual_memory().available


@functools.cache
def _default_buffer() -> int:
    try:
        return int(Path("/proc/sys/net/core/wmem_default").read_text())
    except (OSError, ValueError):
        return 212_992


def held_in_memory(folder: int) -> int:
    """Return the bytes of memory that a tmpfs takes, given a descriptor of it."""
    status = os.statvfs(folder)
    blocks, files = status.f_blocks - status.f_bfree, status.f_files - status.f_ffree
    return blocks * status.f_frsize + files * TMPFS_FILE


def space(folder: Path, most_entries: int, inside: Iterable[Member] = ()) -> Space:
    """Return what `folder` holds, with files that are deleted there but still open in the processes `inside`.

    Counting ends soon after `most_entries`, so a flood of empty files cannot slow it down.
    """
    used, entries, seen = 0, 0, set()
    hidden: list[OSError] = []
    for info in entries_of(folder, hidden.append, DEPTH):
        entries += 1
        if info.st_nlink > 1 and not stat.S_ISDIR(info.st_mode):
            if info.st_ino in seen:
                continue
            seen.add(info.st_ino)
        used += info.st_blocks * BLOCK
        if entries > most_entries:
            return Space(used, entries, bool(hidden))
    device = folder.stat().st_dev
    deleted = {
        info.st_ino: info.st_blocks * BLOCK
        for member in inside
        for info in _open_files(member.pid)
        if info.st_nlink == 0 and info.st_dev == device
    }
    return Space(used + sum(deleted.values()), entries, bool(hidden))


def entries_of(
    folder: Path, on_hidden: Callable[[OSError], object], depth: float = float("inf")
) -> Iterator[os.stat_result]:
    """Yield the status of everything below `folder`; links are not followed.

    `on_hidden` is told of folders that cannot be looked into, being closed, nested too deep for a path, or deeper than `depth`.
    """
    todo = [(str(folder), 0)]
    while todo:
        path, above = todo.pop()
        try:
            if above > depth:
                raise OSError(errno.ENAMETOOLONG, "Nested too deep")
            with os.scandir(path) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        yield entry.stat(follow_symlinks=False)
                        if entry.is_dir(follow_symlinks=False):
                            todo.append((entry.path, above + 1))
        except (FileNotFoundError, NotADirectoryError):  # it changed meanwhile
            continue
        except OSError as error:
            on_hidden(error)


def shares_files(folder: Path) -> bool:
    """Whether a file in `folder` has another name outside of it, where a change would be seen as well."""
    files = [
        info
        for info in entries_of(folder, lambda error: None)
        if stat.S_ISREG(info.st_mode) and info.st_nlink > 1
    ]
    names = Counter((info.st_dev, info.st_ino) for info in files)
    return any(info.st_nlink > names[info.st_dev, info.st_ino] for info in files)


def _proportional(member: Member) -> int:
    try:
        for line in Path(f"/proc/{member.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return member.resident


def _open_files(pid: int) -> Iterator[os.stat_result]:
    with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                yield os.stat(entry.path)
