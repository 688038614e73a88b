"""Keeps the process of one task: `python keep.py FOLDER MARK TIMEOUT COMMAND...`, started by the runner and by nobody else.

The task ends with whoever holds the other end of this process's standard input: when it closes, because the run is cancelled or the service
is gone, even by kill -9, everything that the task started is killed. What the task prints is kept, its first 5 MB and its last lines, and how
it ended is in FOLDER/ended.json before this process ends. MARK is in the environment of all that the task starts, by which it is found even
where it made a session of its own. This file imports nothing of the course: it is started for every task.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

MARK = "LABS_TASK_MARK"
MOST = 5 * 2**20  # bytes of output, as Databricks keeps
PROC = Path("/proc")
TAIL = 64 * 2**10  # bytes of the end that are kept beside them: an error comes last


def main(folder: Path, mark: str, timeout: float, command: list[str]) -> None:
    """Run the command and leave `log` and `ended.json` in the folder."""
    why: list[str] = []
    task = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, MARK: mark},
        preexec_fn=_die_with_parent,
    )

    def end(reason: str) -> None:
        why.append(reason)
        sweep(mark)

    def watch() -> None:
        while os.read(0, 4096):
            pass
        end("stopped")

    threading.Thread(target=watch, daemon=True).start()
    timer = threading.Timer(timeout, end, ["timeout"]) if timeout else None
    if timer:
        timer.daemon = True
        timer.start()
    # What the task left behind may hold the pipe open: the log is read beside, and the task waited for.
    copier = threading.Thread(target=_copy, args=(task, folder / "log"), daemon=True)
    copier.start()
    code = task.wait()
    if timer:
        timer.cancel()
    sweep(mark)
    copier.join(10)
    scratch = folder / "ended.new"
    scratch.write_text(json.dumps({"code": code, "why": why[0] if why else ""}))
    scratch.rename(folder / "ended.json")


def sweep(mark: str) -> None:
    """Kill every process that has the mark, until there is none."""
    for _ in range(500):
        found = list(_marked(mark))
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _marked(mark: str) -> Iterator[int]:
    """The processes that have the mark. What has ended and is not waited for yet has no environment any more."""
    if not PROC.is_dir():
        yield from _marked_elsewhere(mark)
        return
    entry = f"{MARK}={mark}".encode()
    for name in os.listdir(PROC):
        if name.isdecimal():
            with contextlib.suppress(OSError):
                if entry in (PROC / name / "environ").read_bytes().split(b"\0"):
                    yield int(name)


def _marked_elsewhere(mark: str) -> Iterator[int]:
    import psutil  # late: where there is /proc, a third of a short task's CPU

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                yield process.pid


def _copy(task: subprocess.Popen[bytes], path: Path) -> None:
    assert task.stdout is not None
    size, tail = 0, b""
    with path.open("wb", buffering=0) as log:
        while part := os.read(task.stdout.fileno(), 65536):
            log.write(part[: max(0, MOST - size)])
            size += len(part)
            tail = (tail + part)[-TAIL:]
        if size > MOST:
            log.write(b"\n... output left out ...\n" + tail)


def _die_with_parent() -> None:
    """Linux kills the task when this process is killed, so that not even two killed processes leave it behind."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.argv[4:])
    os._exit(0)  # the thread that watches standard input still waits
