"""Jobs and the service's process: what keeps it, and the clock by the notebook's way."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from databricks.sdk.service.jobs import CronSchedule

from labs_lib.workspace import client, identity, serving
from labs_lib.workspace.ground.core import Workspace
from labs_lib.workspace.ground.endpoints import validated
from labs_lib.workspace.jobs import routes, runner
from tests.workspace.jobs.conftest import finished, python, until


def test_a_notebook_simulates_a_day(lab_folder: Path) -> None:
    w, hour = client.workspace(lab_folder), 3_600_000
    begun = client.move_clock(lab_folder, 0)
    begun = client.move_clock(
        lab_folder, (7 * hour - begun % (6 * hour)) / 1000
    )  # an hour after the schedule's
    busy = python(w, "t", "from labs_lib.workspace.tasks.clock import busy_for\nbusy_for(600)\nbusy_for(300)")
    job_id = w.jobs.create(tasks=[busy], schedule=CronSchedule("0 0 0/6 * * ?", "UTC")).job_id
    client.simulate(lab_folder, begun + 24 * hour)
    runs = list(w.jobs.list_runs(job_id=job_id))
    assert [run.run_duration for run in runs] == [900_000] * 4
    assert finished(w, runs[0].run_id).end_time % 3_600_000 == 900_000


def test_a_beat_is_no_use_of_the_workspace_and_a_task_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats = threading.Semaphore(0)
    settle = Workspace.settle

    def counted(workspace: Workspace) -> None:
        settle(workspace)
        beats.release()

    monkeypatch.setattr(Workspace, "settle", counted)
    monkeypatch.setattr(runner, "BEAT", 0.01)
    workspace = serving.opened(tmp_path, "dapi0")
    workspace.start()
    try:
        workspace.was_used()
        assert beats.acquire(timeout=30) and beats.acquire(timeout=30)
        assert not workspace.was_used()
        gate = tmp_path / "gate"
        with workspace.transaction() as ctx:
            me = identity.as_user(ctx, identity.LEARNER)
        with workspace.transaction(me) as ctx:
            files = next(service for service in workspace.services if service.__name__.endswith("files"))
            code = (
                f"import pathlib, time\nwhile not pathlib.Path({str(gate)!r}).exists():\n    time.sleep(0.01)"
            )
            files.put(ctx, files.rules.Item("/Shared/t.py", "FILE", code.encode()), True)
            task = {"task_key": "t", "spark_python_task": {"python_file": "/Shared/t.py"}}
            endpoint = next(each for each in routes.ENDPOINTS if each.path.endswith("/runs/submit"))
            endpoint.handle(ctx, validated(endpoint.model, {"tasks": [task]}))
        for _ in range(3):
            assert workspace.was_used()
        gate.touch()
        until(lambda: not workspace.was_used(), "the task's end")
    finally:
        workspace.stop()
