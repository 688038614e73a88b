"""A control group for each sandbox, where this user may make one: the kernel then counts and holds all that it takes.

It counts what figures of processes don't show (page tables, socket buffers, kernel objects), kills inside the group when memory
runs out and not elsewhere on the machine, and shares CPU by sandbox instead of by process, so that two hundred busy children take no
more from a neighbour than one. Version 1 has a tree per controller and the group goes below the caller's own; version 2 allows
processes in leaves only, so it goes beside the caller's. Where none can be made the watch is what there is.

Sources: cgroups(7), the kernel's cgroup-v1/memory.rst and cgroup-v2.rst.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

PREFIX = "labs-box-"  # of a group's name, before the process id of who made it
SLACK = (
    64 * 2**20
)  # bytes, and an eighth, above a sandbox's memory: the watch knows what is only cached, and says more
SPARE = 16  # processes of bubblewrap's own
REMOVE_TRIES = 100  # every hundredth of a second: the kernel takes a moment to see that all are dead

# Per controller of version 1: the file that sets the limit, and files that may be missing.
_LIMITS_1 = {
    "memory": (
        "memory.limit_in_bytes",
        ("memory.memsw.limit_in_bytes", "memory.kmem.tcp.limit_in_bytes"),
    ),
    "pids": ("pids.max", ()),
    "cpu": ("cpu.shares", ()),
}
_EVENTS = ("memory.events", "memory.oom_control")  # of version 2 and 1; both have a line `oom_kill N`


@dataclass(frozen=True)
class Group:
    """The folders of one sandbox's group: none, one, or one for each controller."""

    folders: tuple[Path, ...]

    def take(self, processes: Iterable[int]) -> None:
        """Put processes into the group; what they start later is in it too. One that is gone is left out."""
        for pid in processes:
            for folder in self.folders:
                with contextlib.suppress(OSError):
                    (folder / "cgroup.procs").write_text(str(pid))

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel has killed something in it for memory."""
        for folder in self.folders:
            for name in _EVENTS:
                with contextlib.suppress(OSError):
                    if re.search(r"^oom_kill [1-9]", (folder / name).read_text(), re.MULTILINE):
                        return True
        return False


@contextlib.contextmanager
def group(memory: int, processes: int) -> Iterator[Group]:
    """A group with these limits, in bytes and numbers, as far as it can be had; removed afterwards, when all in it are dead."""
    name = f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    memory += memory // 8 + SLACK
    processes += SPARE
    made: list[Path] = []
    try:
        for parent, settings in _places(memory, processes):
            folder = parent / name
            try:
                folder.mkdir()
            except OSError:
                continue
            made.append(folder)
            if not _set(folder, settings):
                _remove(made.pop())
        yield Group(tuple(made))
    finally:
        for folder in made:
            _remove(folder)


def remove_abandoned() -> None:
    """Remove the groups of callers that were killed before they could."""
    for parent, _ in _places(0, 0):
        for folder in parent.glob(f"{PREFIX}*-*"):
            owner = folder.name.removeprefix(PREFIX).split("-")[0]
            if owner.isdecimal() and not psutil.pid_exists(int(owner)):
                with contextlib.suppress(OSError):
                    folder.rmdir()


def _places(memory: int, processes: int) -> Iterator[tuple[Path, Mapping[str, tuple[str, bool]]]]:
    """Folders that a group can be made in, each with what to write there: {file: (value, whether it must be)}."""
    values = {"memory": str(memory), "pids": str(processes), "cpu": "1024"}
    own = _own_groups()
    for controller, (file, others) in _LIMITS_1.items():
        if controller in own:
            value = values[controller]
            yield own[controller], {file: (value, True), **dict.fromkeys(others, (value, False))}
    if "" in own and "memory" not in own:
        parent = own[""].parent
        # A limit on the caller's own group is for what it starts as well: no way around it.
        if (
            "memory" in _text(parent / "cgroup.subtree_control").split()
            and _text(own[""] / "memory.max") == "max"
        ):
            optional = {
                "memory.swap.max": "0",
                "memory.oom.group": "1",
                "pids.max": values["pids"],
                "cpu.weight": "100",
            }
            yield (
                parent,
                {
                    "memory.max": (values["memory"], True),
                    **{file: (value, False) for file, value in optional.items()},
                },
            )


def _own_groups() -> dict[str, Path]:
    """This process's group of each controller; that of version 2 is under the empty name."""
    paths: dict[str, str] = {}
    for line in _text(Path("/proc/self/cgroup")).splitlines():
        _, controllers, path = line.split(":", 2)
        paths |= dict.fromkeys(controllers.split(","), path)
    found: dict[str, Path] = {}
    for line in _text(Path("/proc/self/mountinfo")).splitlines():
        before, _, after = line.partition(" - ")
        root, point = before.split()[3:5]
        kind, _, options = after.split()[:3]
        names = options.split(",") if kind == "cgroup" else [""] if kind == "cgroup2" else []
        for name in names:
            if name in paths and Path(paths[name]).is_relative_to(root):
                found[name] = Path(point) / Path(paths[name]).relative_to(root)
    return found


def _set(folder: Path, settings: Mapping[str, tuple[str, bool]]) -> bool:
    for file, (value, needed) in settings.items():
        try:
            if needed or (folder / file).exists():
                (folder / file).write_text(value)
        except OSError:
            if needed:
                return False
    return True


def _remove(folder: Path) -> None:
    for _ in range(REMOVE_TRIES):
        try:
            return folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.01)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
