"""The Jobs API 2.2: jobs, their runs, what these print; who may see, run and change them."""

from __future__ import annotations

import json
import sqlite3
from typing import Annotated, Any, Literal

from pydantic import Field

from labs_lib.workspace import identity, permissions
from labs_lib.workspace.ground import paging, store
from labs_lib.workspace.ground.context import Context, Services
from labs_lib.workspace.ground.endpoints import Endpoint, Model, Strict, validated
from labs_lib.workspace.ground.errors import InvalidParameter, InvalidState, NotFound, PermissionDenied
from labs_lib.workspace.jobs import flow, launching, model, pipelines, rules, runner, shown, simulate
from labs_lib.workspace.jobs.model import Settings
from labs_lib.workspace.jobs.rules import FINAL, Life, Result
from labs_lib.workspace.permissions import lists
from labs_lib.workspace.permissions.routes import Entry, checked

SCHEMA = flow.SCHEMA
LEVELS = ("CAN_VIEW", "CAN_MANAGE_RUN", "CAN_MANAGE", "IS_OWNER")
MOST_OUTPUT = 5 * 2**20  # characters of a run's output


class NewJob(Settings):
    access_control_list: list[Entry] = []


class Which(Model):
    job_id: int


class WhichRun(Model):
    run_id: int


class Reset(Which):
    new_settings: Settings


class Update(Which):
    new_settings: dict[str, Any] = {}
    fields_to_remove: list[str] = []


class ListJobs(Model):
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    page_token: str | None = None
    name: str | None = None
    expand_tasks: bool = False


class ListRuns(Model):
    limit: Annotated[int, Field(ge=0, le=26)] = 20
    page_token: str | None = None
    job_id: int | None = None
    active_only: bool = False
    completed_only: bool = False
    expand_tasks: bool = False
    run_type: Literal["JOB_RUN", "SUBMIT_RUN"] | None = None
    start_time_from: int | None = None
    start_time_to: int | None = None


class GetRun(WhichRun):
    include_history: bool = False


class Parameters(Model):
    """The older ways to give parameters to a run's tasks, beside the job's own."""

    job_parameters: dict[str, str] = {}
    notebook_params: dict[str, str] = {}
    python_params: list[str] = []

    def overrides(self) -> dict[str, Any]:
        return {
            name: value for name in ("notebook_params", "python_params") if (value := getattr(self, name))
        }


class RunNow(Which, Parameters):
    idempotency_token: Annotated[str, Field(max_length=64)] | None = None
    queue: model.Queue | None = None
    only: Annotated[list[str], Field(max_length=0)] = []


class Submit(NewJob):
    run_name: str = "Untitled"
    idempotency_token: Annotated[str, Field(max_length=64)] | None = None


class Repair(WhichRun, Parameters):
    rerun_tasks: list[str] = []
    rerun_all_failed_tasks: bool = False
    rerun_dependent_tasks: bool = False
    latest_repair_id: int | None = None


class CancelAll(Which):
    all_queued_runs: bool = False


def _job(ctx: Context, job_id: int, level: str) -> sqlite3.Row:
    """A job that the caller has that level on. Raises NotFound, PermissionDenied."""
    row: sqlite3.Row | None = ctx.db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if row is None:
        raise NotFound(f"Job {job_id} does not exist.")
    permissions.require(ctx, "jobs", str(job_id), level)
    return row


def _run(ctx: Context, run_id: int, level: str) -> sqlite3.Row:
    """A run of a job that the caller has that level on; also by the id of one of its tasks' runs. Raises NotFound, PermissionDenied."""
    query = "SELECT * FROM runs WHERE id = ? OR id = (SELECT run_id FROM attempts WHERE id = ?)"
    row: sqlite3.Row | None = ctx.db.execute(query, (run_id, run_id)).fetchone()
    if row is None:
        raise NotFound(f"Run {run_id} does not exist.")
    permissions.require(ctx, "jobs", str(row["job_id"]), level)
    return row


def _number(id: str) -> int:
    return int(id) if id.isdecimal() and len(id) < 19 else -1


def _declared(ctx: Context, id: str) -> bool:
    return ctx.db.execute("SELECT 1 FROM jobs WHERE id = ?", (_number(id),)).fetchone() is not None


def _exists(ctx: Context, id: str) -> bool:
    """A one-time run's job is there for who may see the run, as is a deleted one's."""
    if _declared(ctx, id):
        return True
    return ctx.db.execute("SELECT 1 FROM runs WHERE job_id = ?", (_number(id),)).fetchone() is not None


permissions.register("jobs", LEVELS, _exists, declared=_declared)


def _principal(ctx: Context, settings: Settings) -> str:
    """Who a job runs as. Raises PermissionDenied if that is somebody else and the caller no admin, InvalidParameter if nobody."""
    told = settings.run_as
    name = (told.user_name or told.service_principal_name or "") if told else ctx.caller.user_name
    if name != ctx.caller.user_name and not ctx.caller.is_admin:
        raise PermissionDenied(
            f"{ctx.caller.user_name} may not let a job run as {name}; only an admin may let it run as another."
        )
    found = identity.named(ctx, name)
    if found is None or (told and (found.kind == "User") != (told.user_name is not None)):
        raise InvalidParameter(
            f"run_as names {name!r}, which is no such user or service principal of this workspace."
        )
    return found.name


def _share(ctx: Context, job_id: int, entries: list[Entry]) -> None:
    permissions.grant_owner(ctx, "jobs", str(job_id))
    for entry in entries:
        lists.put(ctx, "jobs", str(job_id), checked(ctx, "jobs", entry), entry.permission_level)


def _settings(told: NewJob) -> Settings:
    """The settings alone, without what belongs to the request."""
    return Settings.model_validate(
        told.model_dump(exclude_unset=True, exclude={"access_control_list", "idempotency_token", "run_name"})
    )


def _create(ctx: Context, new: NewJob) -> dict[str, Any]:
    settings = _settings(new)
    model.check(ctx, settings)
    job_id = store.next_id(ctx.db, "job")
    _insert(ctx, job_id, ctx.caller.user_name, _principal(ctx, settings), settings)
    _share(ctx, job_id, new.access_control_list)
    return {"job_id": job_id}


def _insert(ctx: Context, job_id: int, creator: str, run_as: str, settings: Settings) -> None:
    stored, fires = json.dumps(settings.stored()), flow.next_fire(settings, ctx.now)
    who = {"creator": creator, "run_as": run_as}
    store.insert(ctx.db, "jobs", id=job_id, **who, created=ctx.now, settings=stored, next_fire=fires)


def _reset(ctx: Context, wanted: Reset) -> None:
    _change(ctx, _job(ctx, wanted.job_id, "CAN_MANAGE"), wanted.new_settings)


def _update(ctx: Context, wanted: Update) -> None:
    row = _job(ctx, wanted.job_id, "CAN_MANAGE")
    merged = model.updated(json.loads(row["settings"]), wanted.new_settings, wanted.fields_to_remove)
    _change(ctx, row, validated(Settings, merged))


def _change(ctx: Context, row: sqlite3.Row, settings: Settings) -> None:
    model.check(ctx, settings)
    old = Settings.model_validate_json(row["settings"])
    run_as = row["run_as"] if settings.run_as == old.run_as else _principal(ctx, settings)
    next_fire = row["next_fire"]
    if settings.schedule != old.schedule:
        next_fire = flow.next_fire(settings, ctx.now)
    stored = json.dumps(settings.stored())
    store.update(ctx.db, "jobs", row["id"], settings=stored, run_as=run_as, next_fire=next_fire)
    if settings.timeout_seconds != old.timeout_seconds:  # as published, this alone concerns active runs too
        ctx.db.execute(
            "UPDATE runs SET timeout_at = nullif(?, 0) * 1000 + began, settings = json_set(settings, '$.timeout_seconds', ?)"
            " WHERE job_id = ? AND life = 'RUNNING'",
            (settings.timeout_seconds, settings.timeout_seconds, row["id"]),
        )
    flow.admit(ctx, row["id"])


def _delete(ctx: Context, which: Which) -> None:
    _job(ctx, which.job_id, "CAN_MANAGE")
    ctx.db.execute("DELETE FROM jobs WHERE id = ?", (which.job_id,))
    _stop_all(ctx, "job_id = ?", [which.job_id], "The job was deleted.")


def _get(ctx: Context, which: Which) -> dict[str, Any]:
    row = _job(ctx, which.job_id, "CAN_VIEW")
    return shown.job(row) | {"run_as_user_name": row["run_as"], "settings": json.loads(row["settings"])}


def _list(ctx: Context, wanted: ListJobs) -> dict[str, Any]:
    rows = ctx.db.execute("SELECT * FROM jobs ORDER BY id DESC").fetchall()
    seen = [row for row in rows if permissions.allowed(ctx, "jobs", str(row["id"]), "CAN_VIEW")]
    told = [shown.job(row) | {"settings": json.loads(row["settings"])} for row in seen]
    if wanted.name is not None:
        told = [each for each in told if each["settings"]["name"].lower() == wanted.name.lower()]
    scope = f"jobs {wanted.name}"
    found, more = paging.page(
        ctx, scope, told, lambda each: [-each["job_id"]], wanted.limit, wanted.page_token
    )
    for each in found if not wanted.expand_tasks else []:
        each["settings"] = {k: v for k, v in each["settings"].items() if k not in ("tasks", "job_clusters")}
    return {"jobs": found, "has_more": bool(more), **more}


def _run_now(ctx: Context, wanted: RunNow) -> dict[str, Any]:
    row = _job(ctx, wanted.job_id, "CAN_MANAGE_RUN")
    settings = Settings.model_validate_json(row["settings"])
    if before := _same_token(ctx, wanted.idempotency_token):
        return {"run_id": before["id"], "number_in_job": before["number"]}
    _not_both(settings, wanted)
    run_id = flow.of_job(
        ctx,
        row,
        "ONE_TIME",
        ctx.caller.user_name,
        given=wanted.job_parameters,
        overrides=wanted.overrides(),
        token=wanted.idempotency_token,
        queue=wanted.queue.enabled if wanted.queue else None,
    )
    return {"run_id": run_id, "number_in_job": flow.row(ctx, run_id)["number"]}


def _not_both(settings: Settings, given: Parameters) -> None:
    if settings.parameters and given.overrides():
        raise InvalidParameter(
            f"{next(iter(given.overrides()))} can't be given for a job that has parameters of its own; give job_parameters."
        )


def _same_token(ctx: Context, token: str | None) -> sqlite3.Row | None:
    """The run that was begun with that token, which is not begun a second time."""
    row: sqlite3.Row | None = (
        ctx.db.execute("SELECT * FROM runs WHERE token = ?", (token,)).fetchone() if token else None
    )
    if row is not None:
        permissions.require(ctx, "jobs", str(row["job_id"]), "CAN_MANAGE_RUN")
    return row


def _submit(ctx: Context, new: Submit) -> dict[str, Any]:
    if before := _same_token(ctx, new.idempotency_token):
        return {"run_id": before["id"]}
    settings = _settings(new)
    settings.name, settings.max_concurrent_runs = new.run_name, 1
    if settings.schedule:
        raise InvalidParameter("A one-time run has no schedule; create a job for it.")
    if not settings.tasks:
        raise InvalidParameter("A one-time run needs tasks.")
    model.check(ctx, settings)
    job_id = store.next_id(ctx.db, "job")
    who: dict[str, Any] = {"creator": ctx.caller.user_name, "run_as": _principal(ctx, settings)}
    run_id = flow.submit(
        ctx,
        settings,
        {},
        job_id=job_id,
        number=1,
        kind="SUBMIT_RUN",
        trigger="ONE_TIME",
        token=new.idempotency_token,
        **who,
    )
    _share(ctx, job_id, new.access_control_list)
    return {"run_id": run_id}


def _get_run(ctx: Context, wanted: GetRun) -> dict[str, Any]:
    return shown.run(ctx, _run(ctx, wanted.run_id, "CAN_VIEW"), True, wanted.include_history)


def _list_runs(ctx: Context, wanted: ListRuns) -> dict[str, Any]:
    if wanted.active_only and wanted.completed_only:
        raise InvalidParameter("active_only and completed_only can't both be true.")
    conditions, values = ["1"], []
    for condition, value in [
        ("job_id = ?", wanted.job_id),
        ("kind = ?", wanted.run_type),
        ("asked >= ?", wanted.start_time_from),
        ("asked <= ?", wanted.start_time_to),
    ]:
        if value is not None:
            conditions.append(condition)
            values.append(value)
    if wanted.active_only or wanted.completed_only:
        conditions.append(f"life {'IN' if wanted.active_only else 'NOT IN'} ('QUEUED', 'RUNNING')")
    rows = ctx.db.execute(
        f"SELECT * FROM runs WHERE {' AND '.join(conditions)} ORDER BY asked DESC, id DESC", values
    ).fetchall()
    may: dict[int, bool] = {}
    for row in rows:
        if row["job_id"] not in may:
            may[row["job_id"]] = permissions.allowed(ctx, "jobs", str(row["job_id"]), "CAN_VIEW")
    scope = f"runs {conditions} {values}"
    seen = [row for row in rows if may[row["job_id"]]]
    found, more = paging.page(
        ctx, scope, seen, lambda row: [-row["asked"], -row["id"]], wanted.limit or 26, wanted.page_token
    )
    told = [shown.run(ctx, flow.row(ctx, row["id"]), wanted.expand_tasks) for row in found]
    return {"runs": told, "has_more": bool(more), **more}


def _output(ctx: Context, wanted: WhichRun) -> dict[str, Any]:
    run = _run(ctx, wanted.run_id, "CAN_VIEW")
    attempt = ctx.db.execute("SELECT * FROM attempts WHERE id = ?", (wanted.run_id,)).fetchone()
    attempt = attempt or shown.only_task(flow.latest(ctx, run["id"]))
    if attempt is None:
        raise InvalidParameter(
            "A run of several tasks has no output of its own; ask for the run_id of one of its tasks."
        )
    folder = launching.folder_of(ctx.home, attempt["id"])
    log = runner.output_of(folder)
    task = flow.settings_of(run).task(attempt["task_key"])
    told: dict[str, Any] = {"logs": log[:MOST_OUTPUT], "logs_truncated": len(log) > MOST_OUTPUT}
    told["metadata"] = shown.run(ctx, run, True)
    if attempt["result"] and attempt["result"] not in rules.GOOD:
        trace = runner.error_of(folder)[1]
        told |= {"error": attempt["message"]} | ({"error_trace": trace} if trace else {})
    if task.notebook_task:
        told["notebook_output"] = {"result": _text(folder / "exit.txt"), "truncated": False}
    if task.sql_task and (answer := _text(folder / "sql.json")):
        told["sql_output"] = {
            "query_output": {"output_link": "", "query_text": "", "warehouse_id": task.sql_task.warehouse_id}
        }
        told["info"] = answer[:MOST_OUTPUT]
    return told


def _text(path: Any) -> str | None:
    try:
        return str(path.read_text(errors="replace"))[:MOST_OUTPUT]
    except OSError:
        return None


def _cancel(ctx: Context, which: WhichRun) -> None:
    run = _run(ctx, which.run_id, "CAN_MANAGE_RUN")
    sentence = f"Run cancelled by {ctx.caller.user_name}."
    if run["id"] == which.run_id:
        flow.stop(ctx, run["id"], Result.CANCELED, sentence)
    else:  # one task of it
        flow.kill(ctx, which.run_id)
        flow.end_attempt(ctx, which.run_id, Result.CANCELED, sentence)


def _cancel_all(ctx: Context, wanted: CancelAll) -> None:
    _job(ctx, wanted.job_id, "CAN_MANAGE_RUN")
    only = " AND life = 'QUEUED'" if wanted.all_queued_runs else ""
    _stop_all(ctx, f"job_id = ?{only}", [wanted.job_id], f"Run cancelled by {ctx.caller.user_name}.")


def _stop_all(ctx: Context, condition: str, values: list[Any], sentence: str) -> None:
    """Stop runs, those that wait first: else the end of one would begin another."""
    query = f"SELECT id FROM runs WHERE {condition} AND life IN ('QUEUED', 'RUNNING') ORDER BY life = 'RUNNING', id DESC"
    for row in ctx.db.execute(query, values).fetchall():
        flow.stop(ctx, row["id"], Result.CANCELED, sentence)


def _repair(ctx: Context, wanted: Repair) -> dict[str, Any]:
    run = _run(ctx, wanted.run_id, "CAN_MANAGE_RUN")
    if run["life"] not in FINAL:
        raise InvalidState(f"Run {run['id']} is {run['life']}; a run can be repaired when it has ended.")
    if run["life"] == Life.SKIPPED:
        raise InvalidState(f"Run {run['id']} was skipped and has no tasks to repair.")
    repairs = json.loads(run["repairs"])
    if repairs and wanted.latest_repair_id != repairs[-1]["id"]:
        raise InvalidParameter(
            f"latest_repair_id is {wanted.latest_repair_id}, and the last repair of run {run['id']} is {repairs[-1]['id']}."
        )
    settings = _current(ctx, run)
    _not_both(settings, wanted)
    states = flow.states(flow.latest(ctx, run["id"]))
    which = (wanted.rerun_tasks, wanted.rerun_all_failed_tasks, wanted.rerun_dependent_tasks)
    tasks = rules.to_repair(settings.tasks, states, *which)
    store.update(ctx.db, "runs", run["id"], settings=json.dumps(settings.stored()))
    parameters = flow.parameters_of(settings, wanted.job_parameters)
    parameters |= json.loads(run["parameters"]) | wanted.job_parameters
    overrides = json.loads(run["overrides"]) | wanted.overrides()
    return {"repair_id": flow.repair(ctx, run["id"], tasks, parameters, overrides)}


def _current(ctx: Context, run: sqlite3.Row) -> Settings:
    """What a repair runs by: the job's settings of today, as published, where they still have the same tasks."""
    job = ctx.db.execute("SELECT settings FROM jobs WHERE id = ?", (run["job_id"],)).fetchone()
    before = flow.settings_of(run)
    now = Settings.model_validate_json(job["settings"]) if job else before
    return now if {t.task_key for t in now.tasks} == {t.task_key for t in before.tasks} else before


class _Job(Strict):
    job_id: int = Field(gt=0)
    creator_user_name: str
    run_as_user_name: str
    settings: Settings


class _Pipeline(Strict):
    pipeline_id: str
    creator_user_name: str
    spec: pipelines.Pipeline


class _State(Strict):
    jobs: list[_Job]
    pipelines: list[_Pipeline] = []


def export(ctx: Context) -> dict[str, Any]:
    """Jobs and pipelines with their ids; runs are history and no part of it."""
    query = "SELECT id AS job_id, creator AS creator_user_name, run_as AS run_as_user_name, settings FROM jobs ORDER BY id"
    jobs = [{**dict(row), "settings": json.loads(row["settings"])} for row in ctx.db.execute(query)]
    kept = []
    for number, found in store.every(ctx.db, pipelines.KIND):
        creator = found.pop("creator_user_name")
        kept.append({"pipeline_id": number, "creator_user_name": creator, "spec": found})
    return {"jobs": jobs, "pipelines": kept}


def load(ctx: Context, state: dict[str, Any]) -> None:
    """Have exactly these jobs and pipelines; runs that go on are stopped. Raises InvalidParameter, which names the job."""
    told = validated(_State, state)
    _stop_all(ctx, "1", [], "The workspace's state was replaced.")
    ctx.db.execute("DELETE FROM jobs")
    for job in told.jobs:
        try:
            model.check(ctx, job.settings)
        except InvalidParameter as error:
            raise InvalidParameter(f"job {job.job_id}: {error}") from None
        for name in (job.creator_user_name, job.run_as_user_name):
            if identity.named(ctx, name) is None:
                raise InvalidParameter(
                    f"job {job.job_id}: there is no user or service principal {name[:80]!r}."
                )
        if _declared(ctx, str(job.job_id)):
            raise InvalidParameter(f"job {job.job_id} stands twice.")
        _insert(ctx, job.job_id, job.creator_user_name, job.run_as_user_name, job.settings)
    store.reserve_ids(ctx.db, "job", max((job.job_id for job in told.jobs), default=0))
    store.clear(ctx.db, pipelines.KIND)
    for each in told.pipelines:
        pipelines.keep(ctx, each.pipeline_id, each.spec, each.creator_user_name)


def start(services: Services) -> None:
    """Begin to run what is due."""
    services.parts["jobs"] = runner.Runner(services)


def stop(services: Services) -> None:
    """End every process."""
    services.parts.pop("jobs").stop()


def busy(services: Services) -> bool:
    """Whether a task runs, or is about to."""
    with services.transaction() as ctx:
        return ctx.db.execute(f"SELECT 1 FROM attempts WHERE {flow.ALIVE}").fetchone() is not None


tick, due = flow.tick, flow.due
_AT = "/api/2.2/jobs"
ENDPOINTS = (
    Endpoint("POST", f"{_AT}/create", _create, NewJob, ("jobs", "create")),
    Endpoint("POST", f"{_AT}/reset", _reset, Reset, ("jobs", "reset")),
    Endpoint("POST", f"{_AT}/update", _update, Update, ("jobs", "update")),
    Endpoint("POST", f"{_AT}/delete", _delete, Which, ("jobs", "delete")),
    Endpoint("GET", f"{_AT}/get", _get, Which),
    Endpoint("GET", f"{_AT}/list", _list, ListJobs),
    Endpoint("POST", f"{_AT}/run-now", _run_now, RunNow, ("jobs", "runNow")),
    Endpoint("POST", f"{_AT}/runs/submit", _submit, Submit, ("jobs", "submitRun")),
    Endpoint("GET", f"{_AT}/runs/get", _get_run, GetRun),
    Endpoint("GET", f"{_AT}/runs/list", _list_runs, ListRuns),
    Endpoint("GET", f"{_AT}/runs/get-output", _output, WhichRun, ("jobs", "getRunOutput")),
    Endpoint("POST", f"{_AT}/runs/cancel", _cancel, WhichRun, ("jobs", "cancel")),
    Endpoint("POST", f"{_AT}/runs/cancel-all", _cancel_all, CancelAll, ("jobs", "cancelAllRuns")),
    Endpoint("POST", f"{_AT}/runs/repair", _repair, Repair, ("jobs", "repairRun")),
    *pipelines.ENDPOINTS,
    *simulate.ENDPOINTS,
)
