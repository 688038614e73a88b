"""What databricks-sdk-py's own integration tests and examples do with jobs, workspace and secrets (SDK_TESTS.md), on this workspace."""

from __future__ import annotations

from collections import defaultdict

from databricks.sdk.service import compute, jobs

from tests.workspace.conftest import Served
from tests.workspace.jobs.conftest import finished, python


def test_a_submitted_run_is_watched_task_by_task(workspace: Served) -> None:
    w = workspace.client()
    code = python(w, "sample", "import time; time.sleep(0.5); print('Hello, World!')").spark_python_task
    spec = compute.ClusterSpec(
        spark_version=w.clusters.select_spark_version(long_term_support=True),
        node_type_id=w.clusters.select_node_type(),
        num_workers=1,
    )
    waiter = w.jobs.submit(
        run_name="sample", tasks=[jobs.SubmitTask(task_key="pi", new_cluster=spec, spark_python_task=code)]
    )
    seen: list[str] = []
    run = waiter.result(
        callback=lambda run: seen.extend(f"{t.task_key}: {t.state.life_cycle_state}" for t in run.tasks)
    )
    assert seen and run.run_page_url.startswith("http://127.0.0.1") and run.run_name == "sample"
    assert w.jobs.get_run_output(run.tasks[0].run_id).logs == "Hello, World!\n"


def test_the_latest_run_of_each_job_and_how_long_they_take(workspace: Served) -> None:
    w = workspace.client()
    for name in ("a", "b"):
        job_id = w.jobs.create(name=name, tasks=[python(w, name, "print(1)")], max_concurrent_runs=2).job_id
        for _ in range(2):
            finished(w, w.jobs.run_now(job_id).run_id)
    latest: dict[int, jobs.BaseRun] = {}
    durations: dict[int, list[int]] = defaultdict(list)
    for job in w.jobs.list():
        for run in w.jobs.list_runs(job_id=job.job_id, expand_tasks=False):
            durations[job.job_id].append(run.run_duration)
            if job.job_id not in latest or run.end_time >= latest[job.job_id].end_time:
                latest[job.job_id] = run
    assert len(latest) == 2 and all(run.state.result_state for run in latest.values())
    assert all(len(each) == 2 and min(each) > 0 for each in durations.values())


def test_a_task_reads_secrets_by_the_sdks_own_dbutils(workspace: Served) -> None:
    w = workspace.client()
    w.secrets.create_scope("mail")
    w.secrets.put_secret("mail", "password", string_value="planted")
    code = (
        "from databricks.sdk.runtime import dbutils\n"
        "print([scope.getName() for scope in dbutils.secrets.listScopes()], dbutils.secrets.get('mail', 'password'))"
    )
    run = finished(w, w.jobs.submit(tasks=[python(w, "t", code)]).run_id)
    output = w.jobs.get_run_output(run.run_id)
    assert output.logs == "['mail'] planted\n", output.error_trace
