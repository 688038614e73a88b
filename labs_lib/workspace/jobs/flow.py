"""Runs in the store: how they begin, go on and end. What is decided is decided by `rules`; here it is kept and told."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from typing import Any

from labs_lib.workspace.ground import store
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.errors import InvalidParameter, WorkspaceError
from labs_lib.workspace.jobs import machines, messages, quartz, references, rules
from labs_lib.workspace.jobs.model import Settings
from labs_lib.workspace.jobs.rules import FINAL, Life, Result, State

SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY, creator TEXT NOT NULL, run_as TEXT NOT NULL, created INTEGER NOT NULL, settings TEXT NOT NULL,
    next_fire INTEGER, runs INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY, job_id INTEGER NOT NULL, number INTEGER NOT NULL, kind TEXT NOT NULL, "trigger" TEXT NOT NULL,
    creator TEXT NOT NULL, run_as TEXT NOT NULL, settings TEXT NOT NULL, parameters TEXT NOT NULL, overrides TEXT NOT NULL,
    token TEXT UNIQUE, life TEXT NOT NULL, result TEXT, message TEXT NOT NULL DEFAULT '', code TEXT, asked INTEGER NOT NULL,
    began INTEGER, ended INTEGER, timeout_at INTEGER, repairs TEXT NOT NULL DEFAULT '[]'
);
CREATE INDEX IF NOT EXISTS runs_of_job ON runs (job_id, life);
CREATE INDEX IF NOT EXISTS runs_going ON runs (life) WHERE life IN ('QUEUED', 'RUNNING');
CREATE TABLE IF NOT EXISTS attempts (
    id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE, task_key TEXT NOT NULL, number INTEGER NOT NULL,
    latest INTEGER NOT NULL DEFAULT 1, life TEXT NOT NULL, result TEXT, message TEXT NOT NULL DEFAULT '', code TEXT, asked INTEGER,
    ready INTEGER, began INTEGER, ended INTEGER, retry_at INTEGER, until INTEGER, outcome TEXT, resolved TEXT, cluster_id TEXT,
    task_values TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE IF NOT EXISTS run_clusters (
    run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE, key TEXT NOT NULL, cluster_id TEXT NOT NULL, PRIMARY KEY (run_id, key)
);
CREATE INDEX IF NOT EXISTS attempts_of_run ON attempts (run_id);
CREATE INDEX IF NOT EXISTS attempts_going ON attempts (life) WHERE life IN ('PENDING', 'RUNNING', 'WAITING_FOR_RETRY');
"""
ALIVE = "(life = 'PENDING' OR (life = 'RUNNING' AND until IS NULL))"  # has a process, or is about to
_CODES = {
    Result.SUCCESS: "SUCCESS",
    Result.SUCCESS_WITH_FAILURES: "SUCCESS_WITH_FAILURES",
    Result.CANCELED: "USER_CANCELED",
    Result.TIMEDOUT: "CANCELED",
    Result.FAILED: "RUN_EXECUTION_ERROR",
    Result.SKIPPED_FOR_LIMIT: "MAX_CONCURRENT_RUNS_EXCEEDED",
}


def row(ctx: Context, run_id: int) -> sqlite3.Row:
    """A run that exists."""
    found: sqlite3.Row = ctx.db.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
    return found


def settings_of(run: sqlite3.Row) -> Settings:
    """The settings that a run was begun with."""
    return Settings.model_validate_json(run["settings"])


def latest(ctx: Context, run_id: int) -> list[sqlite3.Row]:
    """The last attempt at each task of a run."""
    return ctx.db.execute(
        "SELECT * FROM attempts WHERE run_id = ? AND latest ORDER BY id", (run_id,)
    ).fetchall()


def states(rows: list[sqlite3.Row]) -> dict[str, State]:
    """Attempts as the rules see them."""
    return {
        r["task_key"]: State(Life(r["life"]), Result(r["result"]) if r["result"] else None, r["outcome"])
        for r in rows
    }


def submit(
    ctx: Context,
    settings: Settings,
    given: dict[str, str],
    overrides: dict[str, Any] | None = None,
    queue: bool | None = None,
    **columns: Any,
) -> int:
    """A new run, which begins, waits or is skipped as the job's limit has it. `given` are values of the job's parameters, `columns` what
    else the run's row holds. Returns its id. Raises InvalidParameter for a parameter that the job lacks.
    """
    parameters, job_id = parameters_of(settings, given), columns["job_id"]
    run_id = store.next_id(ctx.db, "run")
    queue = queue if queue is not None else bool(settings.queue and settings.queue.enabled)
    query = "SELECT count(*), ifnull(sum(life = 'QUEUED'), 0) FROM runs WHERE job_id = ? AND life IN ('QUEUED', 'RUNNING')"
    going, waiting = ctx.db.execute(query, (job_id,)).fetchone()
    limit = settings.max_concurrent_runs
    # Who comes later doesn't overtake those that wait.
    life = rules.on_arrival(limit if waiting else going, limit, queue)
    columns |= {"settings": json.dumps(settings.stored()), "parameters": json.dumps(parameters)}
    columns |= {"overrides": json.dumps(overrides or {}), "asked": ctx.now}
    kept = Life.SKIPPED if life is Life.SKIPPED else Life.QUEUED
    store.insert(ctx.db, "runs", id=run_id, life=kept, **columns)
    if life is Life.SKIPPED:
        sentence = f"The job has {going} active runs, and {limit} are the most that it may have at once."
        _end_run(ctx, run_id, Result.SKIPPED_FOR_LIMIT, sentence, Life.SKIPPED)
        return run_id
    for task in settings.tasks:
        _attempt(ctx, run_id, task.task_key, 0, Life.BLOCKED)
    if life is Life.PENDING:
        _begin(ctx, run_id)
        admit(ctx, job_id)
    return run_id


def _begin(ctx: Context, run_id: int) -> None:
    settings = settings_of(row(ctx, run_id))
    timeout_at = ctx.now + settings.timeout_seconds * 1000 if settings.timeout_seconds else None
    store.update(ctx.db, "runs", run_id, life=Life.RUNNING, began=ctx.now, timeout_at=timeout_at)
    messages.tell(ctx, row(ctx, run_id), settings, "on_start")
    advance(ctx, run_id)


def admit(ctx: Context, job_id: int) -> None:
    """Begin as many of a job's queued runs as its limit allows, oldest first. One that ends at once makes room for the next."""
    job = ctx.db.execute("SELECT settings FROM jobs WHERE id = ?", (job_id,)).fetchone()
    if job is None:
        return
    limit = Settings.model_validate_json(job["settings"]).max_concurrent_runs
    query = "SELECT id FROM runs WHERE job_id = ? AND life = ? ORDER BY id"
    while queued := [r["id"] for r in ctx.db.execute(query, (job_id, Life.QUEUED))]:
        active = len(ctx.db.execute(query, (job_id, Life.RUNNING)).fetchall())
        begun = rules.admitted(queued, active, limit)
        if not begun:
            return
        for run_id in begun:
            _begin(ctx, run_id)


def advance(ctx: Context, run_id: int) -> None:
    """Start or skip each task whose dependencies are done, and end the run when all are."""
    run = row(ctx, run_id)
    if run["life"] != Life.RUNNING:
        return
    settings = settings_of(run)
    while steps := rules.next_steps(settings.tasks, states(rows := latest(ctx, run_id))):
        for attempt in (each for each in rows if each["task_key"] in steps):
            if (result := steps[attempt["task_key"]]) is not None:
                sentence = "The task was not run, for what became of the tasks that it depends on."
                _end_attempt(ctx, attempt["id"], result, sentence, life=Life.SKIPPED)
            elif condition := settings.task(attempt["task_key"]).condition_task:
                _decide(ctx, run, attempt, condition.model_dump())
            else:
                store.update(ctx.db, "attempts", attempt["id"], life=Life.PENDING, asked=ctx.now)
                _wake(ctx)
    rows = latest(ctx, run_id)
    if (result := rules.run_result(settings.tasks, states(rows))) is not None:
        lost = any(each["life"] == Life.INTERNAL_ERROR for each in rows) and result is Result.FAILED
        failed = next((each for each in rows if each["result"] == result), None)
        sentence = ""
        if failed and result not in rules.GOOD:
            sentence = f"Task {failed['task_key']} failed with message: {failed['message']}"
        _end_run(ctx, run_id, result, sentence, Life.INTERNAL_ERROR if lost else Life.TERMINATED)


def _decide(ctx: Context, run: sqlite3.Row, attempt: sqlite3.Row, condition: dict[str, str]) -> None:
    """Answer a condition task: it needs no process."""
    store.update(ctx.db, "attempts", attempt["id"], asked=ctx.now, began=ctx.now)
    try:
        sides = references.resolve(condition, names(ctx, run, attempt))
        outcome = "true" if rules.compare(sides["op"], sides["left"], sides["right"]) else "false"
    except InvalidParameter as error:
        _end_attempt(ctx, attempt["id"], Result.FAILED, error.message)
        return
    store.update(ctx.db, "attempts", attempt["id"], outcome=outcome, resolved=json.dumps(sides))
    _end_attempt(ctx, attempt["id"], Result.SUCCESS, "")


def names(ctx: Context, run: sqlite3.Row, attempt: sqlite3.Row) -> dict[str, str]:
    """What dynamic value references stand for in a task of a run."""
    begun = datetime.fromtimestamp((run["began"] or ctx.now) / 1000, UTC)
    known = {
        "job.id": str(run["job_id"]),
        "job.run_id": str(run["id"]),
        "job.name": settings_of(run).name,
        "job.trigger.type": run["trigger"],
        "job.start_time.iso_date": begun.date().isoformat(),
        "job.start_time.iso_datetime": begun.isoformat(),
        "job.start_time.timestamp_ms": str(run["began"]),
        "task.name": attempt["task_key"],
        "task.run_id": str(attempt["id"]),
        "task.execution_count": str(attempt["number"] + 1),
        "workspace.url": ctx.services.address,
    }
    known |= {f"job.parameters.{name}": value for name, value in json.loads(run["parameters"]).items()}
    for other in latest(ctx, run["id"]):
        if other["life"] in FINAL:
            known[f"tasks.{other['task_key']}.result_state"] = str(other["result"]).lower()
            known[f"tasks.{other['task_key']}.run_id"] = str(other["id"])
            for key, value in json.loads(other["task_values"]).items():
                known[f"tasks.{other['task_key']}.values.{key}"] = (
                    value if isinstance(value, str) else json.dumps(value)
                )
    return known


def end_attempt(
    ctx: Context, attempt_id: int, result: Result, message: str, code: str | None = None, ended: int | None = None,
    life: Life = Life.TERMINATED,
) -> None:  # fmt: skip
    """End an attempt at a task, unless it has ended; what follows from it, a retry or the next tasks, follows."""
    attempt = ctx.db.execute("SELECT * FROM attempts WHERE id = ?", (attempt_id,)).fetchone()
    if attempt is None or attempt["life"] in FINAL:
        return
    _end_attempt(ctx, attempt_id, result, message, code, ended, life)
    run = row(ctx, attempt["run_id"])
    settings = settings_of(run)
    due = rules.retry_at(settings.task(attempt["task_key"]), attempt["number"], result, ctx.now)
    if due is not None and run["life"] == Life.RUNNING:
        store.update(ctx.db, "attempts", attempt_id, latest=0)
        again = _attempt(ctx, run["id"], attempt["task_key"], attempt["number"] + 1, Life.WAITING_FOR_RETRY)
        store.update(ctx.db, "attempts", again, retry_at=due)
        retry(ctx)
        return
    advance(ctx, run["id"])
    admit(ctx, run["job_id"])


def retry(ctx: Context) -> None:
    """Have the attempts run again whose wait is over."""
    query = "UPDATE attempts SET life = 'PENDING', asked = ?, retry_at = NULL WHERE life = 'WAITING_FOR_RETRY' AND retry_at <= ?"
    if ctx.db.execute(query, (ctx.now, ctx.now)).rowcount:
        _wake(ctx)


def _end_attempt(
    ctx: Context, attempt_id: int, result: Result, message: str, code: str | None = None, ended: int | None = None,
    life: Life = Life.TERMINATED,
) -> None:  # fmt: skip
    attempt = ctx.db.execute("SELECT * FROM attempts WHERE id = ?", (attempt_id,)).fetchone()
    told = {"result": result, "message": message[:4000], "code": code or _CODES.get(result, "SKIPPED")}
    times = {"ended": ended or ctx.now, "until": None, "retry_at": None, "asked": attempt["asked"] or ctx.now}
    store.update(ctx.db, "attempts", attempt_id, life=life, **told, **times)
    machines.release(ctx, attempt)


def _attempt(ctx: Context, run_id: int, task_key: str, number: int, life: Life) -> int:
    attempt_id = store.next_id(ctx.db, "run")  # a task's run has an id like any run
    store.insert(
        ctx.db, "attempts", id=attempt_id, run_id=run_id, task_key=task_key, number=number, life=life
    )
    return attempt_id


def _end_run(ctx: Context, run_id: int, result: Result, message: str, life: Life = Life.TERMINATED) -> None:
    run = row(ctx, run_id)
    repairs = json.loads(run["repairs"])
    if repairs:
        repairs[-1] |= {"end_time": ctx.now, "result": result}
    told = {"life": life, "result": result, "message": message[:4000], "code": _CODES[result]}
    store.update(ctx.db, "runs", run_id, **told, ended=ctx.now, timeout_at=None, repairs=json.dumps(repairs))
    machines.release_run(ctx, run_id)
    settings = settings_of(run)
    messages.tell(ctx, row(ctx, run_id), settings, "on_success" if result in rules.GOOD else "on_failure")


def stop(ctx: Context, run_id: int, result: Result, message: str) -> None:
    """End a run at once, by a cancel or a timeout: what runs is killed, what waits doesn't begin. Nothing happens to one that has ended."""
    run = row(ctx, run_id)
    if run["life"] in FINAL:
        return
    for attempt in latest(ctx, run_id):
        if attempt["life"] not in FINAL:
            blocked = attempt["life"] == Life.BLOCKED
            _end_attempt(
                ctx, attempt["id"], result, message, life=Life.SKIPPED if blocked else Life.TERMINATED
            )
            kill(ctx, attempt["id"])
    _end_run(ctx, run_id, result, message)
    admit(ctx, run["job_id"])


def kill(ctx: Context, attempt_id: int) -> None:
    """End an attempt's process, once this transaction is kept."""
    if runner := ctx.services.parts.get("jobs"):
        ctx.after_commit(lambda: runner.kill(attempt_id))


def _wake(ctx: Context) -> None:
    if runner := ctx.services.parts.get("jobs"):
        ctx.after_commit(runner.wake)


def repair(
    ctx: Context, run_id: int, tasks: set[str], parameters: dict[str, str], overrides: dict[str, Any]
) -> int:
    """Run some tasks of a run again, in the same run. Returns the repair's id. The caller has checked that the run has ended."""
    run = row(ctx, run_id)
    repair_id = store.next_id(ctx.db, "repair")
    first = {"type": "ORIGINAL", "start_time": run["began"] or run["asked"], "end_time": run["ended"]}
    repairs = json.loads(run["repairs"]) or [{**first, "result": run["result"]}]
    ids = []
    for attempt in latest(ctx, run_id):
        if attempt["task_key"] in tasks:
            store.update(ctx.db, "attempts", attempt["id"], latest=0)
            ids.append(_attempt(ctx, run_id, attempt["task_key"], 0, Life.BLOCKED))
    fresh = {"type": "REPAIR", "id": repair_id, "start_time": ctx.now, "end_time": None, "result": None}
    repairs.append({**fresh, "task_run_ids": ids})
    told = {
        "repairs": json.dumps(repairs),
        "parameters": json.dumps(parameters),
        "overrides": json.dumps(overrides),
    }
    store.update(
        ctx.db, "runs", run_id, life=Life.QUEUED, result=None, message="", code=None, ended=None, **told
    )
    _begin(ctx, run_id)
    store.update(ctx.db, "runs", run_id, began=run["began"] or ctx.now)
    admit(ctx, run["job_id"])
    return repair_id


def due(ctx: Context) -> int | None:
    """The next moment at which something of the jobs' happens by itself."""
    moments = ctx.db.execute(
        "SELECT (SELECT min(next_fire) FROM jobs), (SELECT min(retry_at) FROM attempts WHERE life = 'WAITING_FOR_RETRY'),"
        " (SELECT min(until) FROM attempts WHERE life = 'RUNNING'),"
        f" (SELECT min(timeout_at) FROM runs WHERE life = 'RUNNING' AND id NOT IN (SELECT run_id FROM attempts WHERE {ALIVE}))"
    ).fetchone()
    return min((moment for moment in moments if moment is not None), default=None)


def tick(ctx: Context) -> None:
    """Do what has become due by now."""
    for attempt in ctx.db.execute(
        "SELECT * FROM attempts WHERE life = 'RUNNING' AND until <= ? ORDER BY until, id", (ctx.now,)
    ).fetchall():
        result = Result(attempt["result"] or Result.SUCCESS)
        end_attempt(ctx, attempt["id"], result, attempt["message"], ended=attempt["until"])
    query = f"SELECT id FROM runs WHERE life = 'RUNNING' AND timeout_at <= ? AND id NOT IN (SELECT run_id FROM attempts WHERE {ALIVE})"
    for run in ctx.db.execute(query, (ctx.now,)).fetchall():
        stop(ctx, run["id"], Result.TIMEDOUT, timed_out(settings_of(row(ctx, run["id"])).timeout_seconds))
    retry(ctx)
    for job in ctx.db.execute(
        "SELECT * FROM jobs WHERE next_fire <= ? ORDER BY next_fire, id", (ctx.now,)
    ).fetchall():
        settings = Settings.model_validate_json(job["settings"])
        store.update(ctx.db, "jobs", job["id"], next_fire=next_fire(settings, ctx.now))
        of_job(ctx, job, "PERIODIC", job["creator"], {})
    equip(ctx)


def equip(ctx: Context) -> None:
    """See to the compute of attempts that are due, once for each: those that have it may be run, those that can't have it have failed."""
    query = "SELECT * FROM attempts WHERE life = 'PENDING' AND ready IS NULL ORDER BY asked, id"
    for attempt in ctx.db.execute(query).fetchall():
        run = row(ctx, attempt["run_id"])
        try:
            ready = machines.provide(ctx, run, attempt, settings_of(run))
        except WorkspaceError as error:
            end_attempt(ctx, attempt["id"], Result.FAILED, error.message, "INVALID_CLUSTER_REQUEST")
            continue
        if ready is not None:
            store.update(ctx.db, "attempts", attempt["id"], ready=ready)
            _wake(ctx)


def timed_out(seconds: int) -> str:
    """The sentence for what took too long."""
    return f"The run was stopped after its timeout of {seconds} seconds."


def next_fire(settings: Settings, after: int) -> int | None:
    """When a job's schedule fires next; None if it has none, or it is paused."""
    schedule = settings.schedule
    if schedule is None or schedule.pause_status == "PAUSED":
        return None
    return quartz.following(schedule.quartz_cron_expression, schedule.timezone_id, after)


def of_job(
    ctx: Context, job: sqlite3.Row, trigger: str, creator: str, given: dict[str, str], **more: Any
) -> int:
    """A new run of a job, by its settings of now; `more` is as in `submit`."""
    store.update(ctx.db, "jobs", job["id"], runs=job["runs"] + 1)
    columns = {"job_id": job["id"], "number": job["runs"] + 1, "kind": "JOB_RUN", "run_as": job["run_as"]}
    settings = Settings.model_validate_json(job["settings"])
    return submit(ctx, settings, given, trigger=trigger, creator=creator, **columns, **more)


def parameters_of(settings: Settings, given: dict[str, str]) -> dict[str, str]:
    """The values of a job's parameters in a run: what is given, else the defaults. Raises InvalidParameter."""
    defaults = {parameter.name: parameter.default for parameter in settings.parameters}
    if unknown := sorted(given.keys() - defaults.keys()):
        raise InvalidParameter(
            f"The job has no parameter {unknown[0]!r}; it has {', '.join(defaults) or 'none'}."
        )
    return defaults | given
