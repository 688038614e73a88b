"""The Jobs API: settings, permissions, queues, schedules, compute, state. No process where a condition does."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import DatabricksError, InvalidParameterValue, NotFound, PermissionDenied
from databricks.sdk.service.compute import ClusterSpec
from databricks.sdk.service.jobs import (
    ConditionTask,
    ConditionTaskOp,
    CronSchedule,
    JobAccessControlRequest,
    JobCluster,
    JobParameterDefinition,
    JobPermissionLevel,
    JobRunAs,
    JobSettings,
    PauseStatus,
    QueueDetailsCodeCode,
    QueueSettings,
    RunResultState,
    SparkPythonTask,
    Task,
    TaskDependency,
    TriggerType,
)
from databricks.sdk.service.workspace import ImportFormat

from tests.workspace.conftest import Served
from tests.workspace.jobs.conftest import finished, python, results, until

BUSY = "from labs_lib.workspace.tasks.clock import busy_for\nimport sys\nbusy_for(float(sys.argv[1]))"
SPEC = {"spark_version": "", "node_type_id": "", "num_workers": 1}


def condition(key: str = "c", right: str = "1", after: tuple[str, ...] = ()) -> Task:
    """A task that succeeds at once, or fails at once where the sides are no numbers."""
    what = ConditionTask(op=ConditionTaskOp.LESS_THAN, left="0", right=right)
    return Task(key, condition_task=what, depends_on=[TaskDependency(key) for key in after])


def busy(w: WorkspaceClient, seconds: int, key: str = "busy", **more: Any) -> Task:
    """A task that takes so long by the workspace's clock."""
    return python(w, key, BUSY, parameters=[str(seconds)], **more)


def running(w: WorkspaceClient, run_id: int) -> None:
    """Wait until a busy task's process has told how long it takes."""
    until(
        lambda: w.jobs.get_run(run_id).tasks[0].state.life_cycle_state.value == "RUNNING",
        f"the start of {run_id}",
    )
    until(lambda: quiet(w), "the end of the processes")


def quiet(w: WorkspaceClient) -> bool:
    """Whether no process runs or is about to."""
    return bool(w.api_client.do("GET", "/api/labs/jobs")["processes"] == 0)


def test_settings_come_back_as_they_were_given(workspace: Served) -> None:
    w = workspace.client()
    made = w.jobs.create(
        name="nightly", tasks=[condition()], tags={"team": "ops"}, max_concurrent_runs=3, description="text",
        schedule=CronSchedule("0 0 2 * * ?", "Europe/Berlin", pause_status=PauseStatus.PAUSED),
        parameters=[JobParameterDefinition("day", "monday")], queue=QueueSettings(True),
    )  # fmt: skip
    job = w.jobs.get(made.job_id)
    settings = job.settings
    assert (job.creator_user_name, job.run_as_user_name) == ("learner@example.com", "learner@example.com")
    assert settings.name == "nightly" and settings.tags == {"team": "ops"} and settings.description == "text"
    assert settings.schedule.pause_status is PauseStatus.PAUSED and settings.queue.enabled
    assert (
        settings.max_concurrent_runs == 3
        and settings.timeout_seconds == 0
        and settings.format.value == "MULTI_TASK"
    )
    assert settings.tasks[0].condition_task.op is ConditionTaskOp.LESS_THAN
    w.jobs.update(
        made.job_id,
        new_settings=JobSettings(tags={"team": "data"}, tasks=[condition("d"), condition("c", "2")]),
    )
    changed = w.jobs.get(made.job_id).settings
    assert changed.tags == {"team": "data"} and changed.name == "nightly"
    assert [(t.task_key, t.condition_task.right) for t in changed.tasks] == [("c", "2"), ("d", "1")]
    w.jobs.update(made.job_id, fields_to_remove=["schedule"])
    assert not w.jobs.get(made.job_id).settings.schedule
    w.jobs.reset(made.job_id, JobSettings(name="new", tasks=[condition("e")]))
    fresh = w.jobs.get(made.job_id).settings
    assert fresh.name == "new" and fresh.tags is None and fresh.max_concurrent_runs == 1
    w.jobs.delete(made.job_id)
    for call in (w.jobs.get, w.jobs.delete, w.jobs.run_now):
        with pytest.raises(NotFound, match=f"Job {made.job_id} does not exist"):
            call(made.job_id)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"tasks": [{"task_key": "a"}]}, "no task types"),
    ({"tasks": [{"task_key": "a", "notebook_task": {}}]}, "tasks.0.notebook_task.notebook_path is missing"),
    ({"tasks": [{"task_key": "a", "for_each_task": {"inputs": "[]"}}]}, "is a for_each_task"),
    ({"tasks": [{"task_key": "a b"}]}, "task_key"),
    ({"tasks": [{"task_key": "a", "depends_on": [{"task_key": "z"}]}]}, "depends on 'z'"),
    ({"tasks": [{"task_key": "a", "run_if": "SOMETIMES"}]}, "run_if"),
    (
        {"tasks": [{"task_key": "a", "existing_cluster_id": "x", "job_cluster_key": "y"}]},
        "one of them at most",
    ),
    ({"tasks": [{"task_key": "a", "job_cluster_key": "y"}]}, "job cluster 'y'"),
    ({"tasks": [{"task_key": "a", "libraries": [{"whl": "x"}]}]}, "no libraries"),
    ({"email_notifications": {"on_failure": ["nobody"]}}, "no e-mail address"),
    ({"webhook_notifications": {"on_start": [{"id": "x"}]}}, "no notification destination"),
    ({"health": {"rules": [{}]}}, "no health"),
    ({"tasks": "none"}, "tasks"),
    ({"tasks": [{}] * 1001}, "tasks"),
    ({"schedule": {"quartz_cron_expression": "* * * * *", "timezone_id": "UTC"}}, "Quartz"),
    ({"schedule": {"quartz_cron_expression": "0 0 2 * * ?", "timezone_id": "Mars"}}, "time zone"),
    ({"max_concurrent_runs": 1001}, "max_concurrent_runs"),
    ({"max_concurrent_runs": "many"}, "max_concurrent_runs"),
    ({"tags": {str(n): "" for n in range(26)}}, "tags"),
    ({"parameters": [{"name": "a"}, {"name": "a"}]}, "stands twice"),
    ({"continuous": {"pause_status": "PAUSED"}}, "no continuous"),
    ({"git_source": {"git_url": "x"}}, "no git_source"),
    ({"run_as": {"user_name": "nobody@example.com"}}, "nobody@example.com"),
    ({"run_as": {"user_name": "a", "service_principal_name": "b"}}, "exactly one"),
    ({"name": "a\x00b"}, "name"),
    (
        {"job_clusters": [{"job_cluster_key": "k", "new_cluster": {"num_workers": -1}}]},
        "Cluster validation error",
    ),
]


def test_settings_that_no_run_could_have_are_refused_with_a_sentence(workspace: Served) -> None:
    for fields, sentence in REFUSED:
        body = json.loads(json.dumps(fields))
        for task in body.get("tasks", []) if isinstance(body.get("tasks"), list) else []:
            if not ({"notebook_task", "for_each_task"} & task.keys()) and len(task) > 1:
                task["condition_task"] = {"op": "EQUAL_TO", "left": "1", "right": "1"}
        answer = workspace.http.post("/api/2.2/jobs/create", json={"name": "x"} | body)
        assert answer.status_code == 400 and answer.json()["error_code"] == "INVALID_PARAMETER_VALUE", (
            fields,
            answer.text,
        )
        assert sentence in answer.json()["message"], answer.text
    for reference in ("{{job.parameters.no}}", "{{tasks.c.outputs}}", "{{job.nonsense}}"):
        bad = Task("t", spark_python_task=SparkPythonTask("/x.py", parameters=[reference]))
        with pytest.raises(InvalidParameterValue, match="reference"):
            workspace.client().jobs.create(tasks=[bad])
    assert list(workspace.client().jobs.list()) == []


def test_lists_are_paged_and_filtered(workspace: Served) -> None:
    w = workspace.client()
    ids = [w.jobs.create(name=f"job {n % 5}", tasks=[condition()]).job_id for n in range(25)]
    assert [job.job_id for job in w.jobs.list(limit=10)] == ids[::-1]
    assert [job.job_id for job in w.jobs.list(name="JOB 3")] == ids[3::5][::-1]
    assert next(iter(w.jobs.list(expand_tasks=True))).settings.tasks
    runs = [w.jobs.run_now(ids[0]).run_id for _ in range(30)]
    assert [run.run_id for run in w.jobs.list_runs(job_id=ids[0], limit=7)] == runs[::-1]
    assert (
        list(w.jobs.list_runs(active_only=True)) == []
        and len(list(w.jobs.list_runs(completed_only=True))) == 30
    )
    assert len(next(iter(w.jobs.list_runs(expand_tasks=True))).tasks) == 1
    for query in ("limit=0", "limit=101", "page_token=stale", "limit=x"):
        assert workspace.http.get(f"/api/2.2/jobs/list?{query}").status_code == 400
    with pytest.raises(InvalidParameterValue):
        list(w.jobs.list_runs(active_only=True, completed_only=True))


def test_who_may_see_run_and_change_a_job(workspace: Served) -> None:
    admin = workspace.client()
    for name in ("ana", "ben"):
        admin.users.create(user_name=f"{name}@example.com")
    ana, ben = (workspace.client(f"{name}@example.com") for name in ("ana", "ben"))
    job_id = ana.jobs.create(name="own", tasks=[condition()]).job_id
    run_id = ana.jobs.run_now(job_id).run_id
    order = [
        None,
        JobPermissionLevel.CAN_VIEW,
        JobPermissionLevel.CAN_MANAGE_RUN,
        JobPermissionLevel.CAN_MANAGE,
    ]
    calls = [
        (1, lambda: ben.jobs.get(job_id)),
        (1, lambda: ben.jobs.get_run(run_id)),
        (1, lambda: ben.jobs.get_run_output(run_id)),
        (2, lambda: ben.jobs.run_now(job_id)),
        (2, lambda: ben.jobs.cancel_run(run_id)),
        (2, lambda: ben.jobs.cancel_all_runs(job_id=job_id)),
        (2, lambda: ben.jobs.repair_run(run_id, rerun_tasks=["c"])),
        (3, lambda: ben.jobs.update(job_id, new_settings=JobSettings(name="his"))),
        (3, lambda: ben.jobs.reset(job_id, JobSettings(name="his", tasks=[condition()]))),
        (3, lambda: ben.jobs.delete(job_id)),
    ]
    for held, level in enumerate(order):
        if level:
            entry = JobAccessControlRequest(user_name="ben@example.com", permission_level=level)
            ana.jobs.update_permissions(str(job_id), access_control_list=[entry])
        assert [job.job_id for job in ben.jobs.list()] == ([job_id] if held else [])
        assert bool(list(ben.jobs.list_runs())) == bool(held)
        for needed, call in calls:
            if held < needed:
                with pytest.raises(PermissionDenied, match=r"ben@example\.com needs"):
                    call()
            elif held == needed:
                call()
    alone = ana.jobs.submit(tasks=[condition()]).run_id
    with pytest.raises(PermissionDenied):
        ben.jobs.get_run(alone)
    with pytest.raises(PermissionDenied, match="only an admin"):
        ben.jobs.create(tasks=[condition()], run_as=JobRunAs(user_name="ana@example.com"))
    made = admin.jobs.create(tasks=[condition()], run_as=JobRunAs(user_name="ana@example.com"))
    assert admin.jobs.get(made.job_id).run_as_user_name == "ana@example.com"


def test_a_token_begins_one_run_however_often_it_is_sent(workspace: Served) -> None:
    w = workspace.client()
    job_id = w.jobs.create(tasks=[condition()]).job_id
    assert len({w.jobs.run_now(job_id, idempotency_token="t").run_id for _ in range(3)}) == 1
    assert len({w.jobs.submit(tasks=[condition()], idempotency_token="s").run_id for _ in range(3)}) == 1
    assert len(list(w.jobs.list_runs())) == 2


def test_runs_over_the_limit_wait_in_order_or_are_skipped(workspace: Served) -> None:
    w = workspace.client()
    job_id = w.jobs.create(tasks=[busy(w, 600)], max_concurrent_runs=2, queue=QueueSettings(True)).job_id
    runs = [w.jobs.run_now(job_id).run_id for _ in range(5)]
    for run_id in runs[:2]:
        running(w, run_id)
    assert [w.jobs.get_run(run_id).state.life_cycle_state.value for run_id in runs] == ["RUNNING"] * 2 + [
        "QUEUED"
    ] * 3
    waiting = w.jobs.get_run(runs[2])
    assert waiting.status.queue_details.code is QueueDetailsCodeCode.MAX_CONCURRENT_RUNS_REACHED
    skipped = finished(w, w.jobs.run_now(job_id, queue=QueueSettings(False)).run_id)
    assert skipped.state.result_state is RunResultState.MAXIMUM_CONCURRENT_RUNS_REACHED
    workspace.advance(601)
    for run_id in runs[2:4]:
        running(w, run_id)
    assert w.jobs.get_run(runs[4]).state.life_cycle_state.value == "QUEUED"
    done = [w.jobs.get_run(run_id) for run_id in runs[:2]]
    assert all(600_000 <= run.run_duration < 601_000 for run in done), [run.run_duration for run in done]
    w.jobs.update(job_id, new_settings=JobSettings(max_concurrent_runs=3))  # of effect for those that wait
    running(w, runs[4])
    w.jobs.cancel_all_runs(job_id=job_id)
    assert {w.jobs.get_run(run_id).state.result_state.value for run_id in runs[2:]} == {"CANCELED"}


def test_schedules_fire_by_the_workspaces_clock(workspace: Served) -> None:
    w = workspace.client()
    hourly = CronSchedule("0 30 * * * ?", "UTC")
    job_id = w.jobs.create(tasks=[condition()], schedule=hourly).job_id
    paused = w.jobs.create(
        tasks=[condition()], schedule=CronSchedule("0 30 * * * ?", "UTC", pause_status=PauseStatus.PAUSED)
    ).job_id
    workspace.advance(24 * 3600)
    runs = list(w.jobs.list_runs(job_id=job_id))
    assert len(runs) == 24 and list(w.jobs.list_runs(job_id=paused)) == []
    assert all(
        datetime.fromtimestamp(run.start_time / 1000, UTC).strftime("%M:%S") == "30:00" for run in runs
    )
    assert {run.trigger for run in runs} == {TriggerType.PERIODIC}
    w.jobs.update(
        job_id,
        new_settings=JobSettings(
            schedule=CronSchedule("0 30 * * * ?", "UTC", pause_status=PauseStatus.PAUSED)
        ),
    )
    w.jobs.update(paused, new_settings=JobSettings(schedule=hourly))
    workspace.advance(3 * 3600)
    assert (
        len(list(w.jobs.list_runs(job_id=job_id))) == 24 and len(list(w.jobs.list_runs(job_id=paused))) == 3
    )


def test_a_timeout_of_busy_work_is_the_workspaces(workspace: Served) -> None:
    w = workspace.client()
    own = w.jobs.submit(tasks=[busy(w, 7200, "own", timeout_seconds=3600)]).run_id
    whole = w.jobs.submit(tasks=[busy(w, 7200, "whole")], timeout_seconds=1800).run_id
    fine = w.jobs.submit(tasks=[busy(w, 1200, "fine", timeout_seconds=3600)], timeout_seconds=3600).run_id
    for run_id in (own, whole, fine):
        running(w, run_id)
    workspace.advance(7200)
    told = {run_id: w.jobs.get_run(run_id) for run_id in (own, whole, fine)}
    assert [told[run_id].state.result_state.value for run_id in (own, whole, fine)] == [
        "TIMEDOUT",
        "TIMEDOUT",
        "SUCCESS",
    ]
    for run_id, seconds in ((own, 3600), (whole, 1800), (fine, 1200)):
        assert abs(told[run_id].run_duration - seconds * 1000) < 30_000, told[run_id].run_duration


def test_tasks_have_clusters_that_policies_judge_and_the_bill_knows(workspace: Served) -> None:
    w = workspace.client()
    spec = ClusterSpec(
        spark_version=w.clusters.select_spark_version(long_term_support=True),
        node_type_id=w.clusters.select_node_type(local_disk=True),
        num_workers=2,
    )
    policy = w.cluster_policies.create(
        name="small", definition='{"num_workers": {"type": "range", "maxValue": 1}}'
    )
    bad = ClusterSpec(
        spark_version=spec.spark_version,
        node_type_id=spec.node_type_id,
        num_workers=2,
        policy_id=policy.policy_id,
    )
    with pytest.raises(InvalidParameterValue, match="num_workers"):
        w.jobs.create(tasks=[condition()], job_clusters=[JobCluster("main", bad)])
    tasks = [
        busy(w, 3600, "first", job_cluster_key="main"),
        busy(w, 1800, "second", job_cluster_key="main", after=["first"]),
    ]
    job_id = w.jobs.create(tasks=tasks, job_clusters=[JobCluster("main", spec)]).job_id
    run_id = w.jobs.run_now(job_id).run_id
    for minutes in (10, 60, 60):
        workspace.advance(minutes * 60)
        until(lambda: quiet(w), "the end of the processes")
    run = w.jobs.get_run(run_id)
    assert results(run) == {"first": "SUCCESS", "second": "SUCCESS"}, run.state
    (cluster,) = [each for each in w.clusters.list() if each.cluster_name == f"job-{job_id}-run-{run_id}"]
    assert cluster.cluster_source.value == "JOB" and cluster.state.value in ("TERMINATING", "TERMINATED")
    assert cluster.termination_reason.code.value == "JOB_FINISHED"
    assert run.run_duration >= 5_400_000


def test_a_cluster_that_is_refused_fails_the_task(workspace: Served) -> None:
    w = workspace.client()
    w.users.create(user_name="ana@example.com")
    ana = workspace.client("ana@example.com")
    spec = ClusterSpec(
        spark_version=w.clusters.select_spark_version(),
        node_type_id=w.clusters.select_node_type(local_disk=True),
        num_workers=1,
    )
    with pytest.raises(PermissionDenied, match="without a policy"):
        ana.jobs.create(tasks=[condition()], job_clusters=[JobCluster("main", spec)])
    task = python(w, "t", "print(1)", new_cluster=spec)
    run = finished(
        w,
        w.jobs.run_now(
            w.jobs.create(tasks=[task], run_as=JobRunAs(user_name="ana@example.com")).job_id
        ).run_id,
    )
    assert run.tasks[0].status.termination_details.code.value == "INVALID_CLUSTER_REQUEST"
    assert "ana@example.com may not create clusters" in run.state.state_message


def test_jobs_travel_as_state(workspace: Served) -> None:
    w = workspace.client()
    job_id = w.jobs.create(
        name="nightly", tasks=[condition()], schedule=CronSchedule("0 0 2 * * ?", "UTC")
    ).job_id
    state = {"jobs": workspace.http.get("/api/labs/state").json()["jobs"]}
    w.jobs.create(name="more", tasks=[condition()])
    spec = ClusterSpec(
        spark_version=w.clusters.select_spark_version(),
        node_type_id=w.clusters.select_node_type(),
        num_workers=1,
    )
    running_on = w.jobs.submit(tasks=[busy(w, 9999, new_cluster=spec)]).run_id
    workspace.advance(60)
    running(w, running_on)
    whole = workspace.http.get("/api/labs/state").json()
    named = {
        g["object_id"] for g in whole["permissions"]["grants"] if g["object_type"] in ("jobs", "clusters")
    }
    # Runs and their clusters are history.
    assert named == {str(job["job_id"]) for job in whole["jobs"]["jobs"]}
    answer = workspace.http.put("/api/labs/state", json=whole)
    assert answer.status_code == 200, answer.text
    assert (
        len(list(w.jobs.list())) == 2
        and w.jobs.get_run(running_on).state.result_state is RunResultState.CANCELED
    )
    assert workspace.http.put("/api/labs/state", json=state).status_code == 200
    assert [job.settings.name for job in w.jobs.list()] == ["nightly"] and w.jobs.get(
        job_id
    ).settings.schedule
    assert w.jobs.get_run(running_on).state.result_state is RunResultState.CANCELED
    assert w.jobs.create(name="later", tasks=[condition()]).job_id > job_id
    for damage in (
        {"settings": {"tasks": [{"task_key": "x"}]}},
        {"creator_user_name": "nobody"},
        {"job_id": -1},
        {"more": 1},
    ):
        broken = json.loads(json.dumps(state))
        broken["jobs"]["jobs"][0] |= damage
        assert workspace.http.put("/api/labs/state", json=broken).status_code == 400, damage
    twice = {"jobs": {"jobs": state["jobs"]["jobs"] * 2, "pipelines": []}}
    assert workspace.http.put("/api/labs/state", json=twice).status_code == 400
    assert len(list(w.jobs.list())) == 2


def test_bad_ids_and_requests(workspace: Served) -> None:
    w = workspace.client()
    for path, method in (
        ("runs/get?run_id=1", "GET"),
        ("runs/cancel", "POST"),
        ("runs/repair", "POST"),
        ("get?job_id=99999999999999999999", "GET"),
    ):
        answer = workspace.http.request(
            method, f"/api/2.2/jobs/{path}", **({"json": {"run_id": 1}} if method == "POST" else {})
        )
        assert answer.status_code in (400, 404) and answer.json()["error_code"], answer.text
    job_id = w.jobs.create(tasks=[busy(w, 9999)], parameters=[JobParameterDefinition("p", "")]).job_id
    with pytest.raises(InvalidParameterValue, match="no parameter 'q'"):
        w.jobs.run_now(job_id, job_parameters={"q": "1"})
    with pytest.raises(InvalidParameterValue, match="job_parameters"):
        w.jobs.run_now(job_id, python_params=["1"])
    active = w.jobs.run_now(job_id).run_id
    with pytest.raises(DatabricksError) as refused:
        w.jobs.repair_run(active, rerun_tasks=["busy"])
    assert refused.value.error_code == "INVALID_STATE"
    w.jobs.delete(job_id)
    assert w.jobs.get_run(active).state.result_state is RunResultState.CANCELED
    w.workspace.upload("/Shared/x.py", b"", format=ImportFormat.AUTO)
