"""Files out of a sandbox: copied without following anything, and JSON that cannot exhaust or confuse its
reader.

The tree may be changed by a hostile process while it is read, so every decision is made on an open descriptor
and never on a path. What JSON may hold: labs_lib.vetting.text.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from grader.vetting.removal import remove_or_say
from labs_lib.vetting.text import Rejected, parse_json, shown

MAX_DEPTH = 24  # folders below the source; a partitioned Delta table needs a handful
MAX_PATH = 1024  # bytes below the source; with a box and an inbox before it far from the system's 4,096
MAX_NAME = 255  # bytes, as on Linux file systems
CHUNK = 1 << 20

# Open to read, without following a link, waiting for a FIFO's writer or becoming a terminal's owner.
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass
class _Copy:
    """What one copy has come to so far; `links` counts how often each many-named file was met."""

    max_files: int
    max_bytes: int
    hard_links: bool
    files: int = 0
    bytes: int = 0
    links: dict[tuple[int, int], tuple[int, int, str]] = field(default_factory=dict)


def copy_regular(
    source: Path, target: Path, *, max_files: int, max_bytes: int, hard_links: bool = False
) -> tuple[int, int]:
    """Copy the folder `source` to the new folder `target`, taking folders and regular files only.

    `source` itself may not be a link; the folders above it are the caller's to trust. Modes are not kept,
    times are. Files and folders together may number `max_files`, contents `max_bytes`. A file with more hard
    links than the tree holds is refused unless `hard_links` is true, because its other names are outside.
    Returns the number of files and folders, and of bytes. Raises Rejected, naming the relative path, and leaves no `target`
    behind; FileExistsError if it was there.
    """
    target.mkdir(mode=0o700)
    state = _Copy(max_files, max_bytes, hard_links)
    try:
        with (
            _opened(os.fspath(source), _OPEN_FOLDER, None, ".") as origin,
            _opened(os.fspath(target), _OPEN_FOLDER, None, ".") as destination,
        ):
            _copy_folder(origin, destination, "", 0, state)
        for seen, links, path in state.links.values():
            if links > seen:
                _reject(path, "has a hard link outside the folder")
    except BaseException:
        remove_or_say(target)
        raise
    return state.files, state.bytes


def read_json(path: Path, max_bytes: int, max_depth: int) -> Any:
    """The JSON value in a file.

    Raises Rejected if it is no regular file, too large, too deep or not strict JSON.
    """
    with _opened(os.fspath(path), _OPEN_FILE, None, path.name) as file:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            _reject(path.name, "is not a regular file")
        data = b""
        while len(data) <= max_bytes and (part := os.read(file, min(CHUNK, max_bytes + 1 - len(data)))):
            data += part
    if len(data) > max_bytes:
        _reject(path.name, f"is larger than {max_bytes:,} bytes")
    return parse_json(data, max_depth, path.name)


def _copy_folder(origin: int, destination: int, path: str, depth: int, state: _Copy) -> None:
    if depth > MAX_DEPTH:
        _reject(path, f"is nested deeper than {MAX_DEPTH} folders")
    for name in _names(origin, path, state):
        inside = f"{path}/{name}" if path else name
        _check_name(name, inside)
        try:
            kind = os.stat(name, dir_fd=origin, follow_symlinks=False).st_mode
        except OSError as error:
            raise Rejected(f"{shown(inside)} can't be read: {error.strerror}.") from None
        # A look before opening, since opening a device can act on it; the descriptor is what decides.
        if stat.S_ISDIR(kind):
            with _opened(name, _OPEN_FOLDER, origin, inside) as folder:
                os.mkdir(name, 0o700, dir_fd=destination)
                with _opened(name, _OPEN_FOLDER, destination, inside) as made:
                    _copy_folder(folder, made, inside, depth + 1, state)
        elif stat.S_ISREG(kind):
            with _opened(name, _OPEN_FILE, origin, inside) as file:
                _copy_file(file, name, destination, inside, state)
        else:
            _reject(inside, f"is {_kind(kind)}")


def _names(folder: int, path: str, state: _Copy) -> list[str]:
    """The folder's names in order; counted while they are listed, so a huge folder is not read to its end."""
    names: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            state.files += 1
            if state.files > state.max_files:
                _reject(path or ".", f"brings the number of files above {state.max_files:,}")
            names.append(entry.name)
    return sorted(names)


def _copy_file(file: int, name: str, destination: int, path: str, state: _Copy) -> None:
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode):
        _reject(path, f"is {_kind(found.st_mode)}")
    if found.st_mode & (stat.S_ISUID | stat.S_ISGID):
        _reject(path, "is marked set-user-id or set-group-id")
    if found.st_nlink > 1 and not state.hard_links:
        seen = state.links.get((found.st_dev, found.st_ino), (0, 0, path))[0]
        state.links[found.st_dev, found.st_ino] = (seen + 1, found.st_nlink, path)
    if state.bytes + found.st_size > state.max_bytes:
        _reject(path, f"brings the size above {state.max_bytes:,} bytes")
    copy = os.open(name, _CREATE, 0o600, dir_fd=destination)
    with contextlib.closing(os.fdopen(copy, "wb", buffering=0)) as out:
        # The size is counted again from what is read: the file may grow meanwhile.
        while part := os.read(file, CHUNK):
            state.bytes += len(part)
            if state.bytes > state.max_bytes:
                _reject(path, f"brings the size above {state.max_bytes:,} bytes")
            out.write(part)
        # Delta tells the time of a commit from its file's, so the time has to travel; an absurd one need not.
        if 0 <= found.st_mtime <= time.time() + 86_400:
            os.utime(copy, ns=(found.st_mtime_ns, found.st_mtime_ns))


def _check_name(name: str, path: str) -> None:
    # isprintable is false of control characters, undecodable bytes and the marks that turn text around.
    if not name.isprintable() or "\\" in name:
        _reject(path, "has a name with characters that a course file never needs")
    if len(name.encode("utf-8")) > MAX_NAME:
        _reject(path, f"has a name longer than {MAX_NAME} bytes")
    if len(path.encode("utf-8")) > MAX_PATH:
        _reject(path, f"has a path longer than {MAX_PATH} bytes")


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFDIR: "a folder where a file was",
    }
    return kinds.get(stat.S_IFMT(mode), "no regular file")


@contextlib.contextmanager
def _opened(name: str, flags: int, folder: int | None, path: str) -> Iterator[int]:
    """A descriptor for as long as the block runs. Raises Rejected if the name can't be opened in that way."""
    try:
        descriptor = os.open(name, flags, dir_fd=folder)
    except (OSError, ValueError) as error:
        link = isinstance(error, OSError) and os.path.islink(name) if folder is None else False
        reason = "it is a symbolic link" if link else getattr(error, "strerror", None) or str(error)
        raise Rejected(f"{shown(path)} can't be opened: {reason}.") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _reject(path: str, what: str) -> NoReturn:
    raise Rejected(f"{shown(path)} {what}.")
