"""Runs of real processes, through the real SDK."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import psutil
import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import InvalidParameterValue
from databricks.sdk.service.jobs import (
    ConditionTask,
    ConditionTaskOp,
    JobParameterDefinition,
    NotebookTask,
    RunIf,
    RunLifeCycleState,
    RunResultState,
    SparkPythonTask,
    Task,
    TaskDependency,
    TerminationCodeCode,
)
from databricks.sdk.service.workspace import ImportFormat

from labs_lib.workspace.jobs import runner
from labs_lib.workspace.tasks import keep
from tests.workspace.conftest import Served
from tests.workspace.jobs.conftest import finished, python, results, task, until


def test_a_graph_of_tasks_runs_and_what_it_prints_is_kept(workspace: Served) -> None:
    w = workspace.client()
    tasks = [
        python(
            w,
            "first",
            "import sys\nprint('hello', sys.argv[1:])",
            parameters=["{{job.parameters.day}}", "{{task.name}}"],
        ),
        python(w, "second", "import helper\nprint(helper.VALUE)", after=["first"]),
    ]
    w.workspace.upload("/Shared/helper.py", b"VALUE = 'from a module beside it'", format=ImportFormat.AUTO)
    job = w.jobs.create(name="etl", tasks=tasks, parameters=[JobParameterDefinition("day", "monday")])
    run = w.jobs.run_now(job.job_id, job_parameters={"day": "tuesday"}).result()
    assert (run.state.life_cycle_state, run.state.result_state) == (
        RunLifeCycleState.TERMINATED,
        RunResultState.SUCCESS,
    )
    assert results(run) == {"first": "SUCCESS", "second": "SUCCESS"}
    assert w.jobs.get_run_output(task(run, "first").run_id).logs == "hello ['tuesday', 'first']\n"
    assert w.jobs.get_run_output(task(run, "second").run_id).logs == "from a module beside it\n"
    assert [p.value for p in run.job_parameters or []] == ["tuesday"]
    assert (
        run.start_time
        <= task(run, "first").start_time
        <= task(run, "first").end_time
        <= task(run, "second").start_time
    )
    with pytest.raises(InvalidParameterValue, match="several tasks"):
        w.jobs.get_run_output(run.run_id)


def test_a_failure_is_told_with_its_error_and_what_depends_on_it_is_not_run(workspace: Served) -> None:
    w = workspace.client()
    tasks = [
        python(w, "bad", "print('before')\nraise ValueError('no rows today')"),
        python(w, "after", "print('never')", after=["bad"]),
        python(w, "mend", "print('mended')", after=["bad"], run_if=RunIf.AT_LEAST_ONE_FAILED),
        python(w, "alarm", "print('never')", after=["mend"], run_if=RunIf.ALL_FAILED),
    ]
    run = w.jobs.run_now(w.jobs.create(name="x", tasks=tasks).job_id).result()
    assert results(run) == {
        "bad": "FAILED",
        "after": "UPSTREAM_FAILED",
        "mend": "SUCCESS",
        "alarm": "EXCLUDED",
    }
    assert run.state.result_state is RunResultState.FAILED
    assert run.state.state_message == "Task bad failed with message: ValueError: no rows today"
    output = w.jobs.get_run_output(task(run, "bad").run_id)
    assert output.error == "ValueError: no rows today"
    assert output.logs.startswith("before\nTraceback") and "line 2" in output.error_trace
    assert task(run, "bad").status.termination_details.code is TerminationCodeCode.RUN_EXECUTION_ERROR
    assert not (workspace.home / "runs" / str(task(run, "after").run_id)).exists()


def test_a_branch_by_a_value_that_a_notebook_left(workspace: Served) -> None:
    w = workspace.client()
    source = b"rows = 40 + int(dbutils.widgets.get('more'))\ndbutils.jobs.taskValues.set('rows', rows)\nprint('counted')\ndbutils.notebook.exit(f'{rows} rows')"
    w.workspace.upload("/Shared/count.py", source)
    condition = ConditionTask(op=ConditionTaskOp.GREATER_THAN, left="{{tasks.count.values.rows}}", right="41")
    tasks = [
        Task(task_key="count", notebook_task=NotebookTask("/Shared/count.py", base_parameters={"more": "2"})),
        Task(task_key="enough", depends_on=[TaskDependency("count")], condition_task=condition),
        python(w, "load", "print('loaded {}')"),
        python(w, "alarm", "print('never')"),
    ]
    tasks[2].depends_on = [TaskDependency("enough", outcome="true")]
    tasks[3].depends_on = [TaskDependency("enough", outcome="false")]
    run = finished(w, w.jobs.run_now(w.jobs.create(tasks=tasks).job_id).run_id)
    assert results(run) == {
        "count": "SUCCESS",
        "enough": "SUCCESS",
        "load": "SUCCESS",
        "alarm": "EXCLUDED",
    }, run.state
    assert (
        task(run, "enough").condition_task.outcome == "true"
        and task(run, "enough").condition_task.left == "42"
    )
    output = w.jobs.get_run_output(task(run, "count").run_id)
    assert output.notebook_output.result == "42 rows" and "counted" in output.logs


def test_a_notebook_that_raises_fails_with_its_error(workspace: Served) -> None:
    w = workspace.client()
    w.workspace.upload("/Shared/bad.py", b"x = 1\n\n# COMMAND ----------\n\nraise KeyError('store_id')")
    run = finished(w, w.jobs.submit(tasks=[Task("n", notebook_task=NotebookTask("/Shared/bad.py"))]).run_id)
    assert run.state.result_state is RunResultState.FAILED
    output = w.jobs.get_run_output(run.run_id)
    assert output.error == "KeyError: 'store_id'" and "KeyError" in output.error_trace


def test_retries_follow_the_workspaces_clock(workspace: Served) -> None:
    w = workspace.client()
    counter = workspace.home / "tries"
    code = f"import pathlib\np = pathlib.Path({str(counter)!r})\nn = int(p.read_text()) if p.exists() else 0\np.write_text(str(n + 1))\nassert n == 2, n"
    again = python(w, "flaky", code, max_retries=3, min_retry_interval_millis=3_600_000)
    run_id = w.jobs.submit(tasks=[again]).run_id
    for attempt in (1, 2):
        until(lambda: results_state(w, run_id) == "WAITING_FOR_RETRY", "the wait for a retry")
        assert counter.read_text() == str(attempt)
        workspace.advance(3599)
        assert results_state(w, run_id) == "WAITING_FOR_RETRY"
        workspace.advance(2)
    run = finished(w, run_id)
    assert run.state.result_state is RunResultState.SUCCESS and counter.read_text() == "3"
    assert run.tasks[0].attempt_number == 2
    assert [each.attempt_number for each in w.jobs.get_run(run_id, include_history=True).tasks] == [0, 1, 2]
    assert run.run_duration >= 7_200_000


def results_state(w: WorkspaceClient, run_id: int) -> str:
    """The life cycle state of a run's only task."""
    return str(w.jobs.get_run(run_id).tasks[0].state.life_cycle_state.value)


def test_timeouts_are_of_real_time_while_a_process_runs(workspace: Served) -> None:
    w = workspace.client()
    slow = "import time\nprint('began', flush=True)\ntime.sleep(600)"
    own = w.jobs.submit(tasks=[python(w, "own", slow, timeout_seconds=1)])
    whole = w.jobs.submit(
        tasks=[python(w, "whole", slow), python(w, "next", "print(1)", after=["whole"])], timeout_seconds=1
    )
    for wait, key in ((own, "own"), (whole, "whole")):
        run = finished(w, wait.run_id)
        assert run.state.result_state is RunResultState.TIMEDOUT and run.state.user_cancelled_or_timedout
        assert results(run)[key] == "TIMEDOUT" and "timeout of 1 seconds" in run.state.state_message
    assert processes(workspace) == []


def test_a_cancel_ends_the_process_and_all_that_it_started(workspace: Served) -> None:
    w = workspace.client()
    code = (
        "import subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        "print('began', flush=True)\ntime.sleep(600)"
    )
    tasks = [
        python(w, "long", code),
        python(w, "next", "print(1)", after=["long"]),
        python(w, "clean", "", after=["long"], run_if=RunIf.ALL_DONE),
    ]
    run_id = w.jobs.submit(tasks=tasks).run_id
    until(lambda: any(log.read_text() for log in workspace.home.glob("runs/*/log")), "what the task prints")
    assert len(processes(workspace)) == 2
    run = w.jobs.cancel_run(run_id).result()
    assert run.state.result_state is RunResultState.CANCELED and run.state.user_cancelled_or_timedout
    assert "learner@example.com" in run.state.state_message
    assert set(results(run).values()) == {"CANCELED"}
    assert run.status.termination_details.code is TerminationCodeCode.USER_CANCELED
    until(lambda: not processes(workspace), "the end of the processes")
    w.jobs.cancel_run(run_id)  # of a run that has ended: nothing
    folder = workspace.home / "runs" / str(task(run, "long").run_id)
    until(lambda: not (folder / "files").exists(), "the end of what was laid out")
    assert (folder / "log").read_text() == "began\n"


def test_one_task_is_cancelled_and_the_clean_up_runs(workspace: Served) -> None:
    w = workspace.client()
    tasks = [
        python(w, "long", "import time\ntime.sleep(600)"),
        python(w, "clean", "print('clean')", after=["long"], run_if=RunIf.ALL_DONE),
    ]
    run_id = w.jobs.submit(tasks=tasks).run_id
    until(lambda: processes(workspace), "the task's process")
    w.jobs.cancel_run(task(w.jobs.get_run(run_id), "long").run_id)
    run = finished(w, run_id)
    assert results(run) == {"long": "CANCELED", "clean": "SUCCESS"}
    assert run.state.result_state is RunResultState.SUCCESS_WITH_FAILURES


def test_what_a_task_leaves_behind_ends_with_it(workspace: Served) -> None:
    w = workspace.client()
    code = "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)"
    assert (
        finished(w, w.jobs.submit(tasks=[python(w, "daemon", code)]).run_id).state.result_state
        is RunResultState.SUCCESS
    )
    assert processes(workspace) == []


def test_a_repair_runs_what_failed_with_todays_settings_in_the_same_run(workspace: Served) -> None:
    w = workspace.client()
    tasks = [
        python(w, "good", "print('good')"),
        python(
            w,
            "bad",
            "import sys\nassert sys.argv[1] == 'ok', 'not ok'",
            after=["good"],
            parameters=["{{job.parameters.p}}"],
        ),
        python(w, "last", "print('last')", after=["bad"]),
    ]
    job = w.jobs.create(name="x", tasks=tasks, parameters=[JobParameterDefinition("p", "no")])
    run = finished(w, w.jobs.run_now(job.job_id).run_id)
    good = task(run, "good").run_id
    assert results(run) == {"good": "SUCCESS", "bad": "FAILED", "last": "UPSTREAM_FAILED"}
    with pytest.raises(InvalidParameterValue, match="no task 'other'"):
        w.jobs.repair_run(run.run_id, rerun_tasks=["other"])
    again = w.jobs.repair_run(run.run_id, rerun_all_failed_tasks=True).result()
    assert results(again)["bad"] == "FAILED" and again.run_id == run.run_id
    first = w.jobs.get_run(run.run_id, include_history=True).repair_history
    assert [item.type.value for item in first] == ["ORIGINAL", "REPAIR"]
    with pytest.raises(InvalidParameterValue, match="latest_repair_id is None"):
        w.jobs.repair_run(run.run_id, rerun_all_failed_tasks=True)
    done = w.jobs.repair_run(
        run.run_id, rerun_all_failed_tasks=True, latest_repair_id=first[-1].id, job_parameters={"p": "ok"}
    ).result()
    assert done.state.result_state is RunResultState.SUCCESS and set(results(done).values()) == {"SUCCESS"}
    assert task(done, "good").run_id == good  # what was well is not run again
    assert len(list(w.jobs.list_runs(job_id=job.job_id))) == 1


def test_a_tasks_process_has_its_principals_token_and_no_other(workspace: Served) -> None:
    workspace.client().users.create(user_name="ana@example.com")
    w = workspace.client("ana@example.com")
    code = (
        "import os\nfrom databricks.sdk import WorkspaceClient\n"
        "print(WorkspaceClient().current_user.me().user_name)\nprint(sorted(n for n in os.environ if 'TOKEN' in n or 'REMOTE' in n or n == 'LABS_HOME'))\n"
        "print(os.environ['DATABRICKS_TOKEN'])"
    )
    run = finished(w, w.jobs.submit(tasks=[python(w, "who", code)]).run_id)
    who, names, token = str(w.jobs.get_run_output(run.run_id).logs).splitlines()
    assert who == "ana@example.com" and names == "['DATABRICKS_TOKEN']"
    refused = workspace.http.get("/api/2.0/preview/scim/v2/Me", headers={"Authorization": f"Bearer {token}"})
    assert refused.status_code == 403  # it ended with the task
    assert [t.comment for t in w.tokens.list() if "job" in (t.comment or "")] == []


def test_a_task_that_may_not_read_its_file_fails_with_that_sentence(workspace: Served) -> None:
    admin = workspace.client()
    for name in ("ana", "ben"):
        admin.users.create(user_name=f"{name}@example.com")
    ana, ben = (workspace.client(f"{name}@example.com") for name in ("ana", "ben"))
    ana.workspace.upload("/Users/ana@example.com/own.py", b"print(1)", format=ImportFormat.AUTO)
    for path, code in (
        ("/Users/ana@example.com/own.py", "UNAUTHORIZED_ERROR"),
        ("/Shared/no.py", "RESOURCE_NOT_FOUND"),
    ):
        run = finished(
            ben, ben.jobs.submit(tasks=[Task("t", spark_python_task=SparkPythonTask(path))]).run_id
        )
        assert run.tasks[0].status.termination_details.code.value == code
        assert path.rpartition("/")[2] in run.state.state_message or "files/" in run.state.state_message


def test_output_is_kept_within_bounds_and_the_error_with_it(workspace: Served) -> None:
    w = workspace.client()
    code = "import sys\nfor _ in range(8 * 16):\n    sys.stdout.write('x' * 65536)\nsys.stdout.flush()\nraise RuntimeError('at the end')"
    run = finished(w, w.jobs.submit(tasks=[python(w, "loud", code)]).run_id)
    output = w.jobs.get_run_output(run.run_id)
    assert output.logs_truncated and len(output.logs) == 5 * 2**20
    assert output.error == "RuntimeError: at the end" and "at the end" in output.error_trace
    assert (workspace.home / "runs" / str(run.tasks[0].run_id) / "log").stat().st_size < 6 * 2**20


def test_a_fault_of_the_workspaces_own_ends_the_run_and_the_next_is_run(
    workspace: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = workspace.client()
    task_of = python(w, "t", "print(1)")
    for name, fault in (("finish", RuntimeError("planted")), ("_read", RuntimeError("planted"))):
        with monkeypatch.context() as patched:
            patched.setattr(runner, name, _raising(fault))
            run = finished(w, w.jobs.submit(tasks=[task_of]).run_id)
        assert (
            run.state.life_cycle_state is RunLifeCycleState.INTERNAL_ERROR
            and "planted" in run.state.state_message
        )
    with monkeypatch.context() as patched:
        patched.setattr(runner.launching, "launch", _raising(OSError(28, "No space left on device")))
        run = finished(w, w.jobs.submit(tasks=[task_of]).run_id)
    assert "could not be prepared" in run.state.state_message and "No space left" in run.state.state_message
    assert finished(w, w.jobs.submit(tasks=[task_of]).run_id).state.result_state is RunResultState.SUCCESS


def _raising(error: Exception) -> Callable[..., None]:
    def call(*_: object) -> None:
        raise error

    return call


def test_a_task_that_is_killed_fails_and_says_so(workspace: Served) -> None:
    w = workspace.client()
    run = finished(
        w,
        w.jobs.submit(
            tasks=[python(w, "t", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")]
        ).run_id,
    )
    assert run.state.result_state is RunResultState.FAILED and "ended by signal 9" in run.state.state_message


def processes(workspace: Served) -> list[int]:
    """The processes of this workspace's tasks."""
    number = str(workspace.http.get("/api/2.0/preview/scim/v2/Me").headers["x-databricks-org-id"])
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if (
                process.environ().get(keep.MARK, "").startswith(f"{number}-")
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                found.append(process.pid)
    return found
