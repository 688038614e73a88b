"""kill -9 of the service, of keepers and of tasks at random moments: what was answered is there, nothing runs on, no run goes on for ever."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.jobs import QueueSettings, RunIf

from labs_lib.workspace.tasks import keep
from tests.workspace.conftest import client_of
from tests.workspace.jobs.conftest import python, results, until

pytestmark = pytest.mark.ledger

SERVE = """
import sys
from pathlib import Path
from labs_lib.workspace import serving
workspace = serving.opened(Path(sys.argv[1]), sys.argv[2])
listening = serving.listening(int(sys.argv[3]))
workspace.address = f"http://127.0.0.1:{listening.getsockname()[1]}"
print(listening.getsockname()[1], flush=True)
serving.server(workspace).run(sockets=[listening])
"""


class Service:
    """A workspace's service in a process of its own, at the same port after each start."""

    def __init__(self, home: Path) -> None:
        self.home, self.token, self.port = home, f"dapi{secrets.token_hex(16)}", 0
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> WorkspaceClient:
        command = [sys.executable, "-c", SERVE, str(self.home), self.token, str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        self.port = int(line)
        return client_of(f"http://127.0.0.1:{self.port}", self.token)

    def kill(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        if self.process:
            self.process.wait()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path / "workspace")
    yield made
    made.kill()


def marked(home: Path) -> list[psutil.Process]:
    """The processes of that workspace's tasks."""
    return [
        process
        for process in _having(keep.MARK)
        if str(home) in _environment(process).get("LABS_TASK_FOLDER", "")
    ]


def keepers(home: Path) -> list[psutil.Process]:
    """The processes that keep them."""
    return [
        p
        for p in _having("LABS_TASK_FOLDER")
        if str(home) in _environment(p).get("LABS_TASK_FOLDER", "") and keep.MARK not in _environment(p)
    ]


def _having(name: str) -> list[psutil.Process]:
    return [p for p in psutil.process_iter() if name in _environment(p)]


def _environment(process: psutil.Process) -> dict[str, str]:
    with contextlib.suppress(psutil.Error):
        if process.status() != psutil.STATUS_ZOMBIE:
            return process.environ()
    return {}


def active(w: WorkspaceClient) -> list[int]:
    return [int(run.run_id) for run in w.jobs.list_runs(active_only=True)]


def test_random_kills(service: Service) -> None:
    draw = random.Random(2026)
    w = service.start()
    nap = "import time\ntime.sleep(0.3)\nprint('done')"
    tasks = [
        python(w, "a", nap),
        python(w, "b", nap, after=["a"], max_retries=2),
        python(w, "c", nap, after=["b"], run_if=RunIf.ALL_DONE),
    ]
    job_id = w.jobs.create(name="x", tasks=tasks, max_concurrent_runs=2, queue=QueueSettings(True)).job_id
    answered: set[int] = set()
    for _ in range(4):
        with contextlib.suppress(OSError):
            answered |= {w.jobs.run_now(job_id).run_id for _ in range(2)}
        time.sleep(draw.uniform(0, 1))  # the moment is what is tried
        victim = draw.choice(["service", "service", "keeper", "task", "keeper and service"])
        if "keeper" in victim or victim == "task":
            for process in keepers(service.home) if "keeper" in victim else marked(service.home):
                with contextlib.suppress(psutil.Error):
                    process.kill()
        if "service" in victim:
            service.kill()
            until(
                lambda: not marked(service.home) and not keepers(service.home),
                f"the end of all processes after {victim}",
            )
            w = service.start()
            # A run that began anew may end between two looks.
            until(lambda w=w: not marked(service.home) or active(w), "no process without a run")
    until(lambda: not active(w), "the end of all runs")
    runs = {run.run_id: run for run in w.jobs.list_runs(expand_tasks=True)}
    assert answered <= runs.keys()
    for run in runs.values():
        assert (
            run.state.life_cycle_state.value in ("TERMINATED", "INTERNAL_ERROR")
            and run.end_time >= run.start_time
        )
        assert all(value is not None for value in results(run).values()), results(run)
        if results(run)["a"] == "SUCCESS":
            assert w.jobs.get_run_output(run.tasks[0].run_id).logs == "done\n"
    assert any(run.state.result_state.value == "SUCCESS" for run in runs.values())
    until(lambda: not marked(service.home) and not keepers(service.home), "no process")


def test_a_run_whose_service_was_killed_says_so_and_can_be_repaired(service: Service) -> None:
    w = service.start()
    gate = service.home / "gate"
    code = f"import pathlib, time\nprint('began', flush=True)\nwhile not pathlib.Path({str(gate)!r}).exists():\n    time.sleep(0.05)"
    run_id = w.jobs.submit(tasks=[python(w, "t", code), python(w, "after", "print(1)", after=["t"])]).run_id
    until(lambda: any(log.read_text() for log in service.home.glob("runs/*/log")), "what the task prints")
    (process,) = marked(service.home)
    service.kill()
    until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, "the task's end")
    w = service.start()
    run = w.jobs.get_run(run_id)
    assert run.state.life_cycle_state.value == "INTERNAL_ERROR" and results(run) == {
        "t": "FAILED",
        "after": "UPSTREAM_FAILED",
    }
    assert "service ended while the task ran" in run.state.state_message
    assert run.tasks[0].status.termination_details.code.value == "DRIVER_ERROR"
    assert w.jobs.get_run_output(run.tasks[0].run_id).logs == "began\n"  # what it printed is kept
    gate.touch()
    again = w.jobs.repair_run(run_id, rerun_all_failed_tasks=True).result()
    assert set(results(again).values()) == {"SUCCESS"}


def test_a_task_that_ended_while_nobody_looked_is_kept_as_it_ended(service: Service) -> None:
    """Its keeper wrote how it ended, and the service was killed before it read that."""
    w = service.start()
    run_id = w.jobs.submit(tasks=[python(w, "t", "import time\ntime.sleep(600)")]).run_id
    until(lambda: marked(service.home), "the task's process")
    service.kill()
    until(lambda: not keepers(service.home), "the keeper's end")
    (folder,) = (service.home / "runs").iterdir()
    (folder / "ended.json").write_text('{"code": 0, "why": ""}')
    w = service.start()
    assert w.jobs.get_run(run_id).state.result_state.value == "SUCCESS"


def test_a_service_that_is_stopped_in_order_leaves_nothing(service: Service) -> None:
    w = service.start()
    run_id = w.jobs.submit(tasks=[python(w, "t", "import time\ntime.sleep(600)")]).run_id
    until(lambda: marked(service.home), "the task's process")
    assert service.process
    os.kill(service.process.pid, signal.SIGTERM)
    service.process.wait(30)
    assert marked(service.home) == [] and keepers(service.home) == []
    w = service.start()
    assert w.jobs.get_run(run_id).state.life_cycle_state.value == "INTERNAL_ERROR"
