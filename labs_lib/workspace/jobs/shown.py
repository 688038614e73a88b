"""Jobs, runs and tasks as the Jobs API 2.2 shows them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.jobs import flow
from labs_lib.workspace.jobs.model import Task
from labs_lib.workspace.jobs.rules import FINAL, Life, Result

_STATES = {Life.WAITING_FOR_RETRY: "WAITING"}
_FAULTS = ("INTERNAL_ERROR", "DRIVER_ERROR", "CLUSTER_ERROR")


def job(row: sqlite3.Row) -> dict[str, Any]:
    """A job without its settings."""
    return {"job_id": row["id"], "creator_user_name": row["creator"], "created_time": row["created"]}


def run(ctx: Context, row: sqlite3.Row, tasks: bool, history: bool = False) -> dict[str, Any]:
    """A run, with the last attempt at each of its tasks, or with all of them."""
    settings, values = flow.settings_of(row), json.loads(row["parameters"])
    told = {
        **dict.fromkeys(("run_id", "job_run_id", "original_attempt_run_id"), row["id"]),
        "job_id": row["job_id"],
        "number_in_job": row["number"],
        "run_name": settings.name,
        "creator_user_name": row["creator"],
        "run_type": row["kind"],
        "trigger": row["trigger"],
        "format": "MULTI_TASK",
        "run_page_url": f"{ctx.services.address}/#job/{row['job_id']}/run/{row['id']}",
        "start_time": row["asked"],
        "end_time": row["ended"] or 0,
        "queue_duration": (row["began"] or row["ended"] or ctx.now) - row["asked"],
        "run_duration": (row["ended"] or ctx.now) - (row["began"] or row["asked"]),
        "job_parameters": [
            {"name": p.name, "default": p.default, "value": values.get(p.name, p.default)}
            for p in settings.parameters
        ],
        **_state(row),
    }
    if overrides := json.loads(row["overrides"]):
        told["overriding_parameters"] = overrides
    if settings.schedule and row["trigger"] == "PERIODIC":
        told["schedule"] = settings.schedule.model_dump()
    if row["life"] == Life.QUEUED:
        sentence = "The job has as many active runs as it may have at once."
        told["state"]["queue_reason"] = sentence
        told["status"]["queue_details"] = {"code": "MAX_CONCURRENT_RUNS_REACHED", "message": sentence}
    if history and (repairs := json.loads(row["repairs"])):
        told["repair_history"] = [_repair(each) for each in repairs]
    if tasks:
        query = f"SELECT * FROM attempts WHERE run_id = ? {'' if history else 'AND latest'} ORDER BY id"
        attempts = ctx.db.execute(query, (row["id"],)).fetchall()
        told["tasks"] = [task(ctx, each, settings.task(each["task_key"])) for each in attempts]
        told["job_clusters"] = [cluster.model_dump() for cluster in settings.job_clusters]
    return told


def task(ctx: Context, row: sqlite3.Row, settings: Task) -> dict[str, Any]:
    """An attempt at a task."""
    told = settings.model_dump(exclude_none=True, exclude_unset=True)
    if settings.condition_task:
        told["condition_task"] |= json.loads(row["resolved"] or "{}")
        told["condition_task"] |= {"outcome": row["outcome"]} if row["outcome"] else {}
    asked, began, ended = row["asked"] or 0, row["began"] or row["ended"] or ctx.now, row["ended"] or ctx.now
    return told | {
        "run_id": row["id"],
        "run_if": settings.run_if,
        "attempt_number": row["number"],
        "run_page_url": f"{ctx.services.address}/#job/run/{row['id']}",
        "start_time": asked,
        "end_time": row["ended"] or 0,
        "setup_duration": began - asked if asked else 0,
        "execution_duration": ended - began if row["began"] else 0,
        "cleanup_duration": 0,
        **_state(row),
    }


def _state(row: sqlite3.Row) -> dict[str, Any]:
    life = Life(row["life"])
    state: dict[str, Any] = {"life_cycle_state": life, "state_message": row["message"]}
    if life not in FINAL:
        return {"state": state, "status": {"state": _STATES.get(life, life)}}
    ended = row["result"] in (Result.CANCELED, Result.TIMEDOUT)
    state |= {"result_state": row["result"], "user_cancelled_or_timedout": ended}
    kind = "INTERNAL_ERROR" if row["code"] in _FAULTS else "CLIENT_ERROR"
    kind = "SUCCESS" if row["code"].startswith("SUCCESS") else kind
    why = {"code": row["code"], "type": kind, "message": row["message"]}
    return {"state": state, "status": {"state": "TERMINATED", "termination_details": why}}


def _repair(repair: dict[str, Any]) -> dict[str, Any]:
    ended = {"life_cycle_state": "TERMINATED", "result_state": repair["result"]}
    state = ended if repair["result"] else {"life_cycle_state": "RUNNING"}
    told = {key: value for key, value in repair.items() if key != "result" and value is not None}
    return told | {"state": state}


def only_task(attempts: Sequence[sqlite3.Row]) -> sqlite3.Row | None:
    """The one task of a run that has but one."""
    return attempts[0] if len(attempts) == 1 else None
