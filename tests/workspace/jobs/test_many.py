"""Forty runs in a queue, and a day of them on a moved clock."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.jobs import BaseRun, JobParameterDefinition, QueueSettings

from tests.workspace.conftest import Served
from tests.workspace.jobs.conftest import python, until

pytestmark = pytest.mark.ledger

BUSY = "import sys\nfrom labs_lib.workspace.tasks.clock import busy_for\nbusy_for(60 * float(sys.argv[1]))"


def most_at_once(runs: list[BaseRun]) -> int:
    """How many of the runs went on at the busiest moment; one that ends when another begins makes room for it."""
    moments = sorted(
        [(run.end_time - run.run_duration, 1) for run in runs if run.run_duration]
        + [(run.end_time, -1) for run in runs if run.run_duration]
    )
    now = most = 0
    for _, change in moments:
        now += change
        most = max(most, now)
    return most


def go_on(workspace: Served, to: int) -> None:
    """Move the clock as a simulation does."""
    while True:
        answer = workspace.http.post("/api/labs/jobs/advance", json={"to": to})
        assert answer.status_code == 200, answer.text
        if answer.json()["done"]:
            return


def now(w: WorkspaceClient) -> int:
    return int(w.api_client.do("GET", "/api/labs/clock")["now"])


def test_runs_wait_in_order_under_the_limit(workspace: Served) -> None:
    w = workspace.client()
    job_id = w.jobs.create(
        tasks=[python(w, "t", "pass")], max_concurrent_runs=3, queue=QueueSettings(True)
    ).job_id
    with ThreadPoolExecutor(8) as people:
        runs = list(people.map(lambda _: w.jobs.run_now(job_id).run_id, range(40)))
    assert len(set(runs)) == 40
    until(
        lambda: not any(True for _ in w.jobs.list_runs(job_id=job_id, active_only=True)), "the last run's end"
    )
    done = sorted(w.jobs.list_runs(job_id=job_id), key=lambda run: run.run_id)
    assert {run.state.result_state.value for run in done} == {"SUCCESS"} and len(done) == 40
    assert most_at_once(done) <= 3
    begun = [run.start_time + run.queue_duration for run in done]
    assert begun == sorted(begun)  # oldest first


def test_a_day_of_submissions_takes_a_days_time_of_the_workspace(workspace: Served) -> None:
    """Forty runs a half hour apart, of 5 to 90 minutes, two at once: to the millisecond as if the day had passed."""
    w = workspace.client()
    busy = python(w, "busy", BUSY, parameters=["{{job.parameters.minutes}}"])
    job_id = w.jobs.create(
        tasks=[busy],
        max_concurrent_runs=2,
        queue=QueueSettings(True),
        parameters=[JobParameterDefinition("minutes", "1")],
    ).job_id
    start = now(w)
    minutes = [5 + (37 * n) % 86 for n in range(40)]
    for n, length in enumerate(minutes):
        go_on(workspace, start + n * 1_800_000)
        w.jobs.run_now(job_id, job_parameters={"minutes": str(length)})
    go_on(workspace, start + 4 * 24 * 3_600_000)
    runs = sorted(w.jobs.list_runs(job_id=job_id), key=lambda run: run.run_id)
    assert [run.run_duration for run in runs] == [length * 60_000 for length in minutes]
    free = [0, 0]
    for run in runs:  # each begins when it is asked for, or the moment that the first of two places is free
        free.sort()
        begun = run.start_time + run.queue_duration
        assert begun == max(run.start_time, free[0])
        free[0] = run.end_time
    assert most_at_once(runs) == 2
