"""The threads that run tasks: each takes one that is due, starts its process, waits for its end and keeps what came of it.

As many processes run at once as there are cores; other tasks stay PENDING, as they would wait for compute. Every process ends with this one
(`tasks.keep`). What an earlier process of the service left is ended at the start: a task that finished is kept, one that didn't has failed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

from labs_lib.errors import first_line
from labs_lib.workspace.ground import store
from labs_lib.workspace.ground.context import Context, Services
from labs_lib.workspace.ground.errors import NotFound, PermissionDenied, WorkspaceError
from labs_lib.workspace.jobs import flow, launching
from labs_lib.workspace.jobs.launching import Launch
from labs_lib.workspace.jobs.rules import FINAL, Life, Result
from labs_lib.workspace.tasks import keep

SLOTS = max(2, os.cpu_count() or 2)
BEAT = 1.0  # seconds: the real clock brings schedules due without anybody asking
GONE = "The workspace's service ended while the task ran, and the task with it."

log = logging.getLogger("labs.workspace")


class Runner:
    """Runs what is PENDING until it is stopped."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._changed = threading.Condition()
        self._asked = 0
        self._ended = threading.Event()
        self._live: dict[int, IO[bytes]] = {}  # the standard inputs of the keepers, by attempt
        self._starting: set[int] = set()
        self._doomed: set[int] = set()
        recover(services)
        self._threads = [
            threading.Thread(target=self._work, name=f"jobs-{n}", daemon=True) for n in range(SLOTS)
        ]
        self._threads.append(threading.Thread(target=self._beat, name="jobs-clock", daemon=True))
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Look for tasks that are due."""
        with self._changed:
            self._asked += 1
            self._changed.notify_all()

    def kill(self, attempt_id: int) -> None:
        """End an attempt's process, if it has one or is about to."""
        with self._changed:
            if attempt_id in self._live:
                self._close(attempt_id)
            elif attempt_id in self._starting:
                self._doomed.add(attempt_id)

    def stop(self) -> None:
        """End all processes and wait for the threads."""
        self._ended.set()
        with self._changed:
            for attempt_id in list(self._live):
                self._close(attempt_id)
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(30)

    def _close(self, attempt_id: int) -> None:
        with contextlib.suppress(OSError):
            self._live[attempt_id].close()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT):
            with contextlib.suppress(Exception):
                self._services.settle()

    def _work(self) -> None:
        while not self._ended.is_set():
            with self._changed:
                asked = self._asked
            try:
                launch = self._claim()
                if launch:
                    self._run(launch)
                    continue
            except Exception:
                log.exception("a task could not be run")
            with self._changed:
                if self._asked == asked and not self._ended.is_set():
                    self._changed.wait(10)

    def _claim(self) -> Launch | None:
        """Take the task that is due longest, and prepare it. One that can't be prepared fails with the reason."""
        with self._services.transaction() as ctx:
            flow.equip(ctx)
            query = "SELECT * FROM attempts WHERE life = 'PENDING' AND ready IS NOT NULL ORDER BY ready, id LIMIT 1"
            while attempt := ctx.db.execute(query).fetchone():
                try:
                    launch = launching.launch(ctx, attempt)
                except WorkspaceError as error:
                    kinds = {NotFound: "RESOURCE_NOT_FOUND", PermissionDenied: "UNAUTHORIZED_ERROR"}
                    code = kinds.get(type(error), "INVALID_RUN_CONFIGURATION")
                    flow.end_attempt(ctx, attempt["id"], Result.FAILED, error.message, code)
                    continue
                except (
                    OSError,
                    ValueError,
                ) as error:  # the disk, or content that nobody foresaw: the others are to go on
                    log.exception("the task %s could not be prepared", attempt["id"])
                    _fault(ctx, attempt["id"], f"The task could not be prepared: {first_line(error)}")
                    continue
                store.update(ctx.db, "attempts", attempt["id"], life=Life.RUNNING, began=ctx.now)
                with self._changed:
                    self._starting.add(launch.attempt_id)
                return launch
        return None

    def _run(self, launch: Launch) -> None:
        problem = ""
        environment = launch.environment
        try:
            if launch.spark:
                environment = environment | {"SPARK_REMOTE": _spark()}
            self._start(launch, environment)
        except Exception as error:
            problem = first_line(error)
        finally:
            with self._changed:
                self._starting.discard(launch.attempt_id)
                self._doomed.discard(launch.attempt_id)
                self._live.pop(launch.attempt_id, None)
        if not (launch.folder / "ended.json").exists():  # the keeper was killed
            keep.sweep(launch.mark)
        if self._ended.is_set():
            return  # what is not kept now, the next start keeps
        self._services.settle()
        try:
            with self._services.transaction() as ctx:
                if problem:
                    flow.end_attempt(ctx, launch.attempt_id, Result.FAILED, problem, "CLUSTER_ERROR")
                finish(ctx, launch.attempt_id, launch.folder, launch.timeout, launch.of_run)
        except Exception as error:  # whatever it is, the run must not go on for ever
            log.exception("the end of the task %s could not be kept", launch.attempt_id)
            with self._services.transaction() as ctx:
                _fault(ctx, launch.attempt_id, f"The task's end could not be kept: {first_line(error)}")

    def _start(self, launch: Launch, environment: dict[str, str]) -> None:
        """Start the keeper and wait for its end."""
        file = str(Path(keep.__file__))
        with (launch.folder / "keeper.log").open("wb") as errors:
            with self._changed:
                if launch.attempt_id in self._doomed or self._ended.is_set():
                    return
                told = (str(launch.folder), launch.mark, str(launch.timeout), *launch.command)
                keeper = subprocess.Popen(
                    [sys.executable, "-I", "-B", file, *told],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    cwd=launch.cwd,
                    env=environment,
                    start_new_session=True,
                )
                assert keeper.stdin is not None
                self._live[launch.attempt_id] = keeper.stdin
            keeper.wait()
            with self._changed:
                self._close(launch.attempt_id)


def _fault(ctx: Context, attempt_id: int, sentence: str) -> None:
    """End an attempt for a fault of the workspace's own."""
    flow.end_attempt(ctx, attempt_id, Result.FAILED, sentence, "INTERNAL_ERROR", life=Life.INTERNAL_ERROR)


def _spark() -> str:
    """The address of the course's Spark server, which is started if it doesn't run. Raises LabsError."""
    from labs_lib import settings
    from labs_lib.engine import server

    return settings.remote() or server.ensure().remote


def recover(services: Services) -> None:
    """End what an earlier process of the service left running, in the store and on the machine."""
    with services.transaction() as ctx:
        rows = ctx.db.execute("SELECT id FROM attempts WHERE life = 'RUNNING' AND until IS NULL").fetchall()
        marks = {row["id"]: launching.mark_of(ctx, row["id"]) for row in rows}
        ctx.db.execute("DELETE FROM tokens WHERE made_by = 'System-User'")
    for attempt_id, mark in marks.items():
        keep.sweep(mark)
        with services.transaction() as ctx:
            finish(ctx, attempt_id, launching.folder_of(ctx.home, attempt_id), 0, False)


def finish(ctx: Context, attempt_id: int, folder: Path, timeout: float, of_run: bool) -> None:
    """Keep what came of a process that has ended, by what it and its keeper left in its folder. The files that were laid out for it go."""
    launching.revoke(ctx, attempt_id)
    shutil.rmtree(folder / "files", ignore_errors=True)
    attempt = ctx.db.execute("SELECT * FROM attempts WHERE id = ?", (attempt_id,)).fetchone()
    if attempt is None or attempt["life"] in FINAL:  # cancelled or deleted while it ran
        return
    values = _read(folder / "values.json")
    if isinstance(values, dict):
        store.update(ctx.db, "attempts", attempt_id, task_values=json.dumps(values))
    ended = _read(folder / "ended.json")
    if ended is None or ended["why"] == "stopped":
        flow.end_attempt(ctx, attempt_id, Result.FAILED, GONE, "DRIVER_ERROR", life=Life.INTERNAL_ERROR)
    elif ended["why"] == "timeout" and of_run:
        flow.stop(ctx, attempt["run_id"], Result.TIMEDOUT, flow.timed_out(round(timeout)))
    elif ended["why"] == "timeout":
        flow.end_attempt(ctx, attempt_id, Result.TIMEDOUT, flow.timed_out(round(timeout)))
    elif ended["code"] == 0:
        _succeed(ctx, attempt_id, _read(folder / "busy.json"), attempt["ready"] or ctx.now)
    elif ended["code"] < 0:
        sentence = f"The task's process was ended by signal {-ended['code']}."
        flow.end_attempt(ctx, attempt_id, Result.FAILED, sentence, "DRIVER_ERROR")
    else:
        sentence = error_of(folder)[0] or "Workload failed, see run output for details"
        flow.end_attempt(ctx, attempt_id, Result.FAILED, sentence)


def _succeed(ctx: Context, attempt_id: int, busy: object, began: int) -> None:
    """End an attempt well: now, or once the workspace's clock has come as far as it says that it is busy."""
    seconds = busy if isinstance(busy, int | float) and 0 < busy < 10**9 else 0
    if not seconds:
        flow.end_attempt(ctx, attempt_id, Result.SUCCESS, "")
        return
    attempt = ctx.db.execute("SELECT * FROM attempts WHERE id = ?", (attempt_id,)).fetchone()
    run = flow.row(ctx, attempt["run_id"])
    limit = flow.settings_of(run).task(attempt["task_key"]).timeout_seconds
    late = bool(limit) and seconds > limit
    until = began + round((limit if late else seconds) * 1000)
    result, message = (Result.TIMEDOUT, flow.timed_out(limit)) if late else (Result.SUCCESS, "")
    store.update(ctx.db, "attempts", attempt_id, until=until, result=result, message=message)


def output_of(folder: Path) -> str:
    """What a task printed."""
    try:
        return (folder / "log").read_text(errors="replace")
    except OSError:
        return ""


def error_of(folder: Path) -> tuple[str, str]:
    """The last error that a task printed, in one line, and with its traceback."""
    text = output_of(folder).rstrip()
    at = max(text.rfind("Traceback (most recent call last)"), text.rfind("-" * 75))
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return "", ""
    trace = text[at:] if at >= 0 else ""
    name = re.compile(r"[\w.]*(Error|Exception|Interrupt|Exit|Warning)\b")
    raised = [line for line in trace.splitlines() if name.match(line)]
    return (raised[-1] if raised else lines[-1])[:2000], trace


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None
