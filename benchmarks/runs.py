"""(i) The local workspace: two hundred runs that wait in a job's queue, and a day of runs on a moved clock."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from benchmarks.figures import Figure, Result
from benchmarks.ground import Ground
from labs_lib.workspace import client, process

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

RUNS, AT_ONCE = 200, 4
A_DAY = 96  # one each quarter of an hour
BUSY = b"from labs_lib.workspace.tasks.clock import busy_for\nbusy_for(1200)\n"


def measure(place: Ground, console: Console) -> Result:
    """Begin the runs as fast as the SDK does, and wait for the last one's end."""
    folder = place.fresh("workspace")
    try:
        w = client.workspace(folder)
        asked, done = _queued(w)
        simulated = _simulated(w, folder)
    finally:
        process.stop(client.folder_of(folder))
    figures = (
        Figure("i", f"asking for {RUNS} runs", asked, "s"),
        Figure("i", f"{RUNS} queued runs, a process each", done, "s"),
        Figure("i", "  a run", done / RUNS * 1000, "ms"),
        Figure("i", f"a day of {A_DAY} runs on a moved clock", simulated, "s"),
    )
    console.print(f"(i) {RUNS} queued runs: {done:.1f} s", highlight=False)
    counted = (
        f"(i) {RUNS} runs of a job of one empty Python file, {AT_ONCE} at once by max_concurrent_runs, from the first call of run_now to the end of the last; "
        f"{A_DAY} runs by a schedule over a day of the workspace's clock, each of which is busy for twenty minutes. Each run has a process of its own."
    )
    return Result(figures, counted)


def _queued(w: WorkspaceClient) -> tuple[float, float]:
    from databricks.sdk.service.jobs import QueueSettings

    job_id = w.jobs.create(
        tasks=[_task(w, "empty", b"")], max_concurrent_runs=AT_ONCE, queue=QueueSettings(True)
    ).job_id
    assert job_id is not None
    began = time.perf_counter()
    for _ in range(RUNS):
        w.jobs.run_now(job_id)
    asked = time.perf_counter() - began
    while next(iter(w.jobs.list_runs(job_id=job_id, active_only=True, limit=1)), None):
        time.sleep(0.2)
    done = time.perf_counter() - began
    ended = [
        run.state.result_state.value
        for run in w.jobs.list_runs(job_id=job_id)
        if run.state and run.state.result_state
    ]
    assert ended == ["SUCCESS"] * RUNS, ended
    return asked, done


def _simulated(w: WorkspaceClient, folder: Path) -> float:
    from databricks.sdk.service.jobs import CronSchedule

    schedule = CronSchedule("0 0/15 * * * ?", "UTC")
    job_id = w.jobs.create(
        tasks=[_task(w, "busy", BUSY)], max_concurrent_runs=AT_ONCE, schedule=schedule
    ).job_id
    began = time.perf_counter()
    client.simulate(folder, client.move_clock(folder, 0) + 24 * 3_600_000)
    seconds = time.perf_counter() - began
    assert len(list(w.jobs.list_runs(job_id=job_id))) == A_DAY
    return seconds


def _task(w: WorkspaceClient, name: str, code: bytes) -> Any:
    from databricks.sdk.service.jobs import SparkPythonTask, Task
    from databricks.sdk.service.workspace import ImportFormat

    path = f"/Shared/{name}.py"
    w.workspace.upload(path, code, format=ImportFormat.AUTO)
    return Task(task_key=name, spark_python_task=SparkPythonTask(path))
