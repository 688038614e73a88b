"""The bubblewrap command line: what a sandbox sees of the file system, and which namespaces it has.

Two bubblewraps, one inside the other. The outer one lays out the files and owns a process namespace whose
first process the learner's code cannot see: when the caller dies the kernel ends that process, and with it
everything below. In a single namespace that first process would have the learner's own user id and could be
tampered with. The inner one takes the rest away: users, network, processes, IPC, host name, capabilities,
system calls.

A caller that is root lays out the files as root (so a closed /root is no obstacle) and then becomes `uid`,
which owns nothing on the host, before anything of the learner's starts.

Source: bwrap(1) 0.8, DESIGN.md section 6 (why the cgroup namespace stays shared).
"""

from __future__ import annotations

import shutil
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from grader.sandbox import first_program
from labs_lib.errors import LabsError

FIRST_PROGRAM = "/run/first_program.py"  # where first_program appears
USER = 1000  # the user id that the code inside sees as its own

SCRATCH = ("/tmp", "/dev/shm")  # writable folders in memory

# What programs need of /etc: the linker's cache, what /usr links into, and a JDK's settings.
ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives")


@dataclass(frozen=True)
class Descriptors:
    """File descriptors that bubblewrap inherits: where it reports its first process, and what it reads."""

    info: int
    seccomp: int
    files: dict[str, int]


def made_up_files(home: Path) -> dict[str, str]:
    """Return {path inside: text}: one user who lives in `home`, one host, and the first program."""
    return {
        "/etc/passwd": f"learner:x:{USER}:{USER}:learner:{home}:/bin/sh\n",
        "/etc/group": f"learner:x:{USER}:\n",
        "/etc/hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
        "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
        FIRST_PROGRAM: Path(first_program.__file__).read_text(encoding="utf-8"),
    }


def visible(readonly: Sequence[Path], by_others: bool) -> list[Path]:
    """Return what is bound read-only beside the system: Python's own folders and `readonly`, parents first.

    Raises LabsError for a path that does not exist, and if `by_others`, for one that only its owner may read.
    """
    paths = {path.absolute() for path in (Path(sys.prefix), Path(sys.base_prefix), *readonly)}
    for path in paths:
        if not path.exists():
            raise LabsError(
                f"{path} does not exist, so the sandbox cannot show it; make it or do not ask for it."
            )
        if by_others and not path.stat().st_mode & stat.S_IROTH:
            raise LabsError(
                f"{path} is closed to other users, and code in the sandbox runs as one; "
                f"open it with `chmod -R o+rX {path}`."
            )
    return sorted(path for path in paths if not path.is_relative_to("/usr"))


def command(
    box: Path,
    at: Path,
    readonly: Sequence[Path],
    uid: int | None,
    scratch: int,
    descriptors: Descriptors,
) -> list[str]:
    """Return the command that runs first_program in a sandbox.

    `box` is writable and appears as `at`; `uid` is the host's user id to run as, or None for the caller's
    own; `scratch` is the size in bytes of each of /tmp and /dev/shm.
    """
    shown = visible(readonly, by_others=uid is not None)
    return [
        *_outer(box, at, shown, uid, descriptors),
        *_inner([*shown, at], scratch, descriptors),
        *(sys.executable, "-I", "-S", FIRST_PROGRAM),
    ]


def program(name: str) -> str:
    """Return the path of a program that the sandbox needs. Raises LabsError with the package that has it."""
    package = {"bwrap": "bubblewrap", "setpriv": "util-linux"}[name]
    if found := shutil.which(name, path="/usr/bin:/usr/local/bin:/usr/sbin:/bin"):
        return found
    raise LabsError(
        f"Submissions run in a sandbox made by `{name}`, which is not installed; "
        f"install the package {package} (on Debian and Ubuntu: apt-get install {package})."
    )


def _outer(
    box: Path, at: Path, readonly: Sequence[Path], uid: int | None, descriptors: Descriptors
) -> list[str]:
    etc = [
        path for path in sorted(Path("/etc").iterdir()) if path.name in ETC or path.name.startswith("java")
    ]
    made = set()

    def parents(path: Path) -> list[str]:
        missing = [folder for folder in reversed(path.parents) if folder not in made and folder != Path("/")]
        made.update(missing)
        # Named one by one because bubblewrap makes parents that only their owner may enter.
        return [part for folder in missing for part in ("--perms", "0755", "--dir", str(folder))]

    return [
        program("bwrap"),
        *("--unshare-pid", "--die-with-parent", "--info-fd", str(descriptors.info)),
        *([] if uid is not None else ["--unshare-user"]),
        *("--ro-bind", "/usr", "/usr"),
        *(
            part
            for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
            for part in _system_folder(name)
        ),
        # The inner sandbox covers both; it may mount a /proc of its own only where a whole one is in view.
        *("--bind", "/proc", "/proc", "--dev", "/dev"),
        *("--perms", "0755", "--dir", "/tmp"),
        *(
            part
            for path, number in descriptors.files.items()
            for part in (*parents(Path(path)), "--perms", "0644", "--file", str(number), path)
        ),
        *(part for path in etc for part in ("--ro-bind", str(path), str(path))),
        *(
            part
            for path in readonly
            for part in (*parents(path), "--ro-bind", str(path.resolve()), str(path))
        ),
        *(*parents(at), "--bind", str(box), str(at)),
        *("--remount-ro", "/", "--chdir", "/", "--"),
        *([] if uid is None else _become(uid)),
    ]


def _inner(shown: Sequence[Path], scratch: int, descriptors: Descriptors) -> list[str]:
    hidden = [path for path in shown if any(path.is_relative_to(folder) for folder in SCRATCH)]
    return [
        program("bwrap"),
        *("--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"),
        *("--uid", str(USER), "--gid", str(USER), "--hostname", "sandbox"),
        *("--disable-userns", "--cap-drop", "ALL", "--seccomp", str(descriptors.seccomp)),
        *("--die-with-parent", "--new-session"),
        *("--bind", "/", "/", "--proc", "/proc", "--dev", "/dev"),
        # Each held to a size, or made read-only: what is in them is memory.
        *(
            part
            for folder in SCRATCH
            for part in ("--perms", "1777", "--size", str(scratch), "--tmpfs", folder)
        ),
        # What the outer sandbox shows below them is covered now, so it is shown again; read-only stays so.
        *(part for path in hidden for part in ("--bind", str(path), str(path))),
        *("--remount-ro", "/dev", "--chdir", "/", "--"),
    ]


def _system_folder(name: str) -> list[str]:
    path = Path("/", name)
    if path.is_symlink():
        return ["--symlink", str(path.readlink()), str(path)]
    return ["--ro-bind", str(path), str(path)] if path.is_dir() else []


def _become(uid: int) -> list[str]:
    return [program("setpriv"), "--reuid", str(uid), "--regid", str(uid), "--clear-groups", "--"]
