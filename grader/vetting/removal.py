"""Removes what a stranger's code left behind, however it is nested, closed or named.

`shutil.rmtree` goes down one call per folder and one path per name: 1,500 folders inside each other end it with RecursionError, and
no path reaches what lies deeper than PATH_MAX. Here folders come up instead: each is emptied of its files, its subfolders are moved
to the top, and what is empty goes. So depth takes neither stack, nor descriptors, nor a long path, and a folder's names are read one by one.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import secrets
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

MOST = 20  # things that can't be removed, before the rest is left as well

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_Failed = dict[tuple[int, int], str]  # by device and inode, as names change on the way up


def remove_tree(path: Path) -> list[str]:
    """Remove a folder and all that is in it, a file, or a link itself; nothing if it is not there.

    Never raises for what it finds. Returns a sentence for each thing that could not be removed (twenty at most; the rest stays too).
    """
    failed: _Failed = {}
    try:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)
            return []
        with _folder(os.fspath(path), None) as top:
            _empty(top, failed)
        if not failed:
            os.rmdir(path)
    except FileNotFoundError:
        return []
    except OSError as error:
        failed[0, 0] = f"{error.strerror}."
    return [f"{path} can't be removed: {sentence}" for sentence in failed.values() if sentence]


@contextlib.contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """A new folder, removed afterwards whatever is in it; what can't be removed is named on standard error."""
    path = Path(tempfile.mkdtemp(prefix=prefix)).resolve()
    try:
        yield path
    finally:
        remove_or_say(path)


def remove_or_say(path: Path) -> None:
    """Remove a tree; what can't be removed is named on standard error, and nothing ends because of it."""
    for sentence in remove_tree(path):
        print(sentence, file=sys.stderr)


def _empty(top: int, failed: _Failed) -> None:
    """Empty the folder: its own folders are dissolved until none is left, or none gives way any more."""
    names = (f"{secrets.token_hex(8)}-{number}" for number in itertools.count())
    again = True
    while again:
        again = False
        for name, info in _entries(top):
            if len(failed) >= MOST:
                return
            if (info.st_dev, info.st_ino) in failed:
                continue
            again = True  # it goes now, or is known to stay
            try:
                if stat.S_ISDIR(info.st_mode):
                    _dissolve(name, top, names, failed)
                else:
                    os.unlink(name, dir_fd=top)
            except FileNotFoundError:
                continue
            except OSError as error:
                full = error.errno in (errno.ENOTEMPTY, errno.EEXIST)  # then what is in it has been named
                failed[info.st_dev, info.st_ino] = "" if full else _sentence(name, error)


def _dissolve(name: str, top: int, names: Iterator[str], failed: _Failed) -> None:
    """Remove a folder in `top`: its files first, as a full disk has no room for new names, then its folders move to `top`."""
    try:
        return os.rmdir(name, dir_fd=top)
    except OSError:
        pass
    with _folder(name, top) as folder:
        for folders in (False, True):
            for inside, info in _entries(folder):
                if stat.S_ISDIR(info.st_mode) != folders or len(failed) >= MOST:
                    continue
                try:
                    if folders:
                        _open_up(inside, folder)
                        os.rename(inside, next(names), src_dir_fd=folder, dst_dir_fd=top)
                    else:
                        os.unlink(inside, dir_fd=folder)
                except OSError as error:
                    failed[info.st_dev, info.st_ino] = _sentence(inside, error)
    os.rmdir(name, dir_fd=top)


def _entries(folder: int) -> Iterator[tuple[str, os.stat_result]]:
    """Names and statuses in a folder, one at a time; a name that is gone meanwhile is left out."""
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                yield entry.name, entry.stat(follow_symlinks=False)


def _sentence(name: str, error: OSError) -> str:
    return f"{ascii(name)[1:-1][:120]}: {error.strerror}."


@contextlib.contextmanager
def _folder(name: str, parent: int | None) -> Iterator[int]:
    """A descriptor of a folder that its owner may use."""
    _open_up(name, parent)
    descriptor = os.open(name, _OPEN, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open_up(name: str, parent: int | None) -> None:
    """Give a folder's owner all rights to it. By O_PATH where there is one: chmod(2) follows links, and a closed folder can't be opened."""
    if not hasattr(os, "O_PATH"):
        os.chmod(name, stat.S_IRWXU, dir_fd=parent, follow_symlinks=False)
        return
    descriptor = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{descriptor}", stat.S_IRWXU)
    finally:
        os.close(descriptor)
