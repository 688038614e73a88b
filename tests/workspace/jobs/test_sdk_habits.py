"""What databricks-sdk-py's own integration tests and examples do with jobs, workspace and secrets (SDK_TESTS.md), on this workspace."""

from __future__ import annotations

import io
import zipfile
from collections import defaultdict

from databricks.sdk.service import compute, jobs
from databricks.sdk.service.workspace import ImportFormat

from tests.workspace.conftest import Served
from tests.workspace.jobs.conftest import finished, python


def wheel(name: str, code: str) -> bytes:
    """A wheel of one module with the entry point `main`."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(f"{name}/__init__.py", code)
        archive.writestr(
            f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        )
        archive.writestr(f"{name}-1.0.dist-info/entry_points.txt", f"[console_scripts]\nmain = {name}:run\n")
    return made.getvalue()


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
    w.jobs.delete_run(run.run_id)


def test_a_wheel_on_a_jobs_cluster(workspace: Served) -> None:
    w = workspace.client()
    w.workspace.upload(
        "/Shared/retail-1.0-py3-none-any.whl",
        wheel("retail", "import sys\ndef run():\n    print('ran', sys.argv[1:])"),
        format=ImportFormat.AUTO,
    )
    spec = compute.ClusterSpec(
        num_workers=2,
        spark_version=w.clusters.select_spark_version(),
        node_type_id=w.clusters.select_node_type(local_disk=True),
    )
    cluster = jobs.JobCluster(job_cluster_key="cluster1", new_cluster=spec)
    missing = jobs.Task(
        task_key="task1",
        job_cluster_key="cluster1",
        python_wheel_task=jobs.PythonWheelTask(entry_point="test", package_name="deepspeed"),
    )
    assert w.jobs.create(job_clusters=[cluster], tasks=[missing]).job_id


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


def test_a_task_reads_secrets_by_the_sdks_own_dbutils_and_packages_by_wheels(workspace: Served) -> None:
    w = workspace.client()
    w.secrets.create_scope("mail")
    w.secrets.put_secret("mail", "password", string_value="planted")
    code = (
        "import sys\ndef run():\n    from databricks.sdk.runtime import dbutils\n"
        "    print([scope.getName() for scope in dbutils.secrets.listScopes()], dbutils.secrets.get('mail', 'password'), sys.argv[1:])"
    )
    w.workspace.upload("/Shared/retail-1.0-py3-none-any.whl", wheel("retail", code), format=ImportFormat.AUTO)
    library = compute.Library(whl="/Workspace/Shared/retail-1.0-py3-none-any.whl")
    task = jobs.PythonWheelTask(
        entry_point="main", package_name="retail", parameters=["one"], named_parameters={"day": "monday"}
    )
    run = finished(
        w, w.jobs.submit(tasks=[jobs.SubmitTask("t", python_wheel_task=task, libraries=[library])]).run_id
    )
    output = w.jobs.get_run_output(run.run_id)
    assert output.logs == "['mail'] planted ['one', '--day=monday']\n", output.error_trace
