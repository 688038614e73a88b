"""Help for tests of jobs: files in the workspace, tasks, and waiting for what a run comes to."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from databricks.sdk import WorkspaceClient
from databricks.sdk.service.jobs import Run, RunTask, SparkPythonTask, Task, TaskDependency
from databricks.sdk.service.workspace import ImportFormat

PATIENCE = 120  # seconds of a busy machine; no test waits for it


def python(w: WorkspaceClient, name: str, code: str, **more: Any) -> Task:
    """A task that runs this code; the file is put into /Shared."""
    w.workspace.upload(f"/Shared/{name}.py", code.encode(), format=ImportFormat.AUTO, overwrite=True)
    after = [TaskDependency(task_key=key) for key in more.pop("after", [])]
    return Task(
        task_key=name,
        depends_on=after,
        spark_python_task=SparkPythonTask(f"/Shared/{name}.py", parameters=more.pop("parameters", None)),
        **more,
    )


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for something to be so."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(0.02)
    return found


def finished(w: WorkspaceClient, run_id: int) -> Run:
    """The run, when it has ended."""

    def look() -> Run | None:
        run = w.jobs.get_run(run_id)
        return (
            run if run.state.life_cycle_state.value in ("TERMINATED", "SKIPPED", "INTERNAL_ERROR") else None
        )

    return until(look, f"the end of run {run_id}")


def results(run: Run) -> dict[str, str | None]:
    """How each task ended."""
    return {t.task_key: t.state.result_state.value if t.state.result_state else None for t in run.tasks or []}


def task(run: Run, key: str) -> RunTask:
    """A task of a run."""
    return next(each for each in run.tasks or [] if each.task_key == key)
