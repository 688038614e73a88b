"""The life of one sandbox: it is set up, is handed its command, and leaves no process behind.

Inputs are folders of the host and the plan that grader/first_program.py describes. Raises LabsError if
bubblewrap cannot set the sandbox up, with bubblewrap's own words. Source: pid_namespaces(7), pidfd_open(2).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from grader.sandbox import first_program, seccomp, tree, watch
from labs_lib.errors import LabsError

START_TIMEOUT = 60.0  # seconds for an empty sandbox to stand; a fifteenth is usual
KILL_TIMEOUT = 60.0  # seconds for the kernel to take down what was killed
FIRST_UID = 0x70000000  # user ids that no distribution or container manager hands out begin here
UIDS = 0x08000000


@dataclass(frozen=True)
class Standing:
    """A sandbox that waits for its plan: bubblewrap, and the first process of its process namespace."""

    process: subprocess.Popen[bytes]
    first: int  # process id on the host; everything inside is below it
    first_fd: int  # pidfd of the same
    scratch: tuple[int, ...]  # descriptors of the folders in memory

    @property
    def output(self) -> IO[bytes]:
        """The pipe with standard output and error of everything inside."""
        assert self.process.stdout is not None
        return self.process.stdout


def own(box: Path) -> int | None:
    """Give the box to a user id of its own if the caller is root, and return that id; None for other callers.

    Raises LabsError if the box is no folder, or if something in it is shared with the outside by a hard link.
    """
    if box.is_symlink() or not box.is_dir():
        raise LabsError(f"{box} is not a folder; make one for the sandbox to write to.")
    if watch.shares_files(box):
        raise LabsError(
            f"{box} holds files that have another name outside of it (hard links), where code in the sandbox "
            "could change them; copy them instead of linking."
        )
    if os.geteuid() != 0:
        return None
    # The inode number makes the id unique among boxes that exist, and the same when a box is used again.
    uid = FIRST_UID + box.stat().st_ino % UIDS
    for folder, folders, files in os.walk(box):
        os.chown(folder, uid, uid)
        for name in (*folders, *files):
            os.chown(os.path.join(folder, name), uid, uid, follow_symlinks=False)
    return uid


@contextlib.contextmanager
def standing(
    box: Path, at: Path, readonly: Sequence[Path], scratch: int, uid: int | None, channel: int | None = None
) -> Iterator[Standing]:
    """Set a sandbox up, and end every process in it afterwards. Raises LabsError if it cannot be set up.

    `channel` is a descriptor of the caller's that stays open inside, until the plan says what becomes of it.
    """
    process: subprocess.Popen[bytes] | None = None
    first_fd: int | None = None
    try:
        process, info = _start(box, at, readonly, scratch, uid, channel)
        with info:
            first, first_fd = _first(process, info.fileno())
        _wait_until_ready(process)
        with _scratch(first) as scratch_folders:
            yield Standing(process, first, first_fd, scratch_folders)
    finally:
        if process is not None:
            _end(process, first_fd)


def send(sandbox: Standing, plan: Mapping[str, Any]) -> None:
    """Hand over the plan, whereupon the command starts. Raises LabsError if nothing is there to take it."""
    assert sandbox.process.stdin is not None
    try:
        with sandbox.process.stdin as pipe:
            pipe.write(json.dumps(plan).encode())
    except BrokenPipeError:
        raise LabsError("The sandbox ended before its command could start; run it again.") from None


def kill(first_fd: int) -> None:
    """Kill everything inside and return when it is dead. Raises LabsError if the kernel does not get it done.

    The kernel takes a namespace down with its first process, whose pidfd becomes readable when no other
    process is left.
    """
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(first_fd, signal.SIGKILL)
    if not _readable(first_fd, KILL_TIMEOUT):
        raise LabsError(
            f"Processes of a sandbox did not end within {KILL_TIMEOUT:.0f} s of being killed; they wait "
            "for the disk or for the kernel. Look at the machine before going on."
        )


def _start(
    box: Path, at: Path, readonly: Sequence[Path], scratch: int, uid: int | None, channel: int | None
) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    """Start bubblewrap; also returns the pipe on which it tells the id of its first process."""
    with contextlib.ExitStack() as stack:
        files = {
            path: stack.enter_context(_pipe_with(text.encode())).fileno()
            for path, text in tree.made_up_files(at).items()
        }
        filter_fd = stack.enter_context(_pipe_with(seccomp.program())).fileno()
        info, info_end = _pipe()
        stack.enter_context(info_end)
        descriptors = tree.Descriptors(info_end.fileno(), filter_fd, files)
        try:
            process = subprocess.Popen(
                tree.command(box, at, readonly, uid, scratch, descriptors),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={},
                cwd="/",
                pass_fds=[
                    descriptors.info,
                    filter_fd,
                    *files.values(),
                    *([] if channel is None else [channel]),
                ],
                start_new_session=True,  # Ctrl-C is for the caller, which then ends the sandbox in order
            )
        except BaseException:
            info.close()
            raise
    return process, info


def _first(process: subprocess.Popen[bytes], info: int) -> tuple[int, int]:
    """Return id and pidfd of the process that bubblewrap reports as the first of its process namespace."""
    text = b""
    while not text.rstrip().endswith(b"}"):
        part = os.read(info, 4096) if _readable(info, START_TIMEOUT) else b""
        if not part:
            raise _not_set_up(process, b"")
        text += part
    pid = int(json.loads(text)["child-pid"])
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        raise _not_set_up(process, b"") from None
    fields = watch.stat_fields(pid)
    if not fields or int(fields[1]) != process.pid:  # it ended, and its number may be another's by now
        os.close(pidfd)
        raise _not_set_up(process, b"")
    return pid, pidfd


def _wait_until_ready(process: subprocess.Popen[bytes]) -> None:
    """Return when the first program inside says so."""
    assert process.stdout is not None
    said, deadline = b"", time.monotonic() + START_TIMEOUT
    while not said.endswith(first_program.READY):
        output, left = process.stdout.fileno(), max(0.0, deadline - time.monotonic())
        part = os.read(output, 4096) if _readable(output, left) else b""
        if not part:
            raise _not_set_up(process, said)
        said += part


@contextlib.contextmanager
def _scratch(first: int) -> Iterator[tuple[int, ...]]:
    """Open the folders in memory, seen with the eyes of the first program: the innermost of the processes."""
    innermost = watch.members(first)[-1].pid
    with contextlib.ExitStack() as stack:
        opened = []
        for folder in tree.SCRATCH:
            opened.append(os.open(f"/proc/{innermost}/root{folder}", os.O_PATH | os.O_DIRECTORY))
            stack.callback(os.close, opened[-1])
        yield tuple(opened)


def _not_set_up(process: subprocess.Popen[bytes], said: bytes) -> LabsError:
    process.kill()
    assert process.stdout is not None
    output = process.stdout.fileno()
    said += os.read(output, 4096) if _readable(output, 1.0) else b""
    lines = said.decode(errors="replace").strip().splitlines()
    return LabsError(
        f"The sandbox could not be set up; {lines[-1][:300] if lines else 'it did not say why'}."
    )


def _end(process: subprocess.Popen[bytes], first_fd: int | None) -> None:
    """Kill what is left and return when it is dead."""
    try:
        if first_fd is not None:
            kill(first_fd)
    finally:
        process.kill()  # without a first process it is all there is: no command has started
        process.wait()
        if first_fd is not None:
            os.close(first_fd)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def _readable(descriptor: int, seconds: float) -> bool:
    """Wait until there is something to read, or an end. Not by select(2), which has a highest descriptor."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _pipe() -> tuple[IO[bytes], IO[bytes]]:
    read, write = os.pipe()
    return os.fdopen(read, "rb", buffering=0), os.fdopen(write, "wb", buffering=0)


def _pipe_with(content: bytes) -> IO[bytes]:
    """The read end of a pipe that holds `content`, which must be smaller than a pipe (64 KiB)."""
    read, write = _pipe()
    with write:
        write.write(content)
    return read
