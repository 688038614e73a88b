"""Who is told what about a run: by e-mail and by webhook, through the outbox.

Source: docs.databricks.com, "Add notifications on a job", whose payload a webhook gets.
"""

from __future__ import annotations

import sqlite3

from labs_lib.workspace import notify
from labs_lib.workspace.ground import store
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.jobs import rules
from labs_lib.workspace.jobs.model import Notified, Settings, Task

_WORDS = {
    "on_start": "started",
    "on_success": "succeeded",
    "on_failure": "failed",
    "on_duration_warning_threshold_exceeded": "takes longer than expected",
}


def tell(ctx: Context, run: sqlite3.Row, settings: Settings, event: str) -> None:
    """Tell of a run what its job's settings want told."""
    quiet = settings.notification_settings
    skipped = run["result"] == rules.Result.SKIPPED_FOR_LIMIT
    if event == "on_failure" and (
        (
            skipped
            and (quiet.no_alert_for_skipped_runs or settings.email_notifications.no_alert_for_skipped_runs)
        )
        or (run["result"] == rules.Result.CANCELED and quiet.no_alert_for_canceled_runs)
    ):
        return
    _post(
        ctx,
        run,
        settings,
        settings,
        event,
        f"The run {run['id']} of the job {settings.name!r}",
        run["message"],
        {},
    )


def tell_task(
    ctx: Context, run: sqlite3.Row, settings: Settings, task: Task, result: rules.Result, message: str
) -> None:
    """Tell of a task's end what its settings want told."""
    if result is rules.Result.CANCELED and task.notification_settings.no_alert_for_canceled_runs:
        return
    event = "on_success" if result in rules.GOOD else "on_failure"
    what = f"The task {task.task_key!r} in the run {run['id']} of the job {settings.name!r}"
    _post(ctx, run, settings, task, event, what, message, {"task": {"task_key": task.task_key}})


def _post(
    ctx: Context, run: sqlite3.Row, settings: Settings, whom: Notified, event: str, what: str, why: str, more: dict[str, object]
) -> None:  # fmt: skip
    addresses = getattr(whom.email_notifications, event)
    destinations = [each.id for each in getattr(whom.webhook_notifications, event)]
    if not addresses and not destinations:
        return
    payload = {
        "event_type": f"jobs.{event}",
        "workspace_id": store.setting(ctx.db, "workspace_id"),
        "run": {"run_id": run["id"]},
        "job": {"job_id": run["job_id"], "name": settings.name},
        **more,
    }
    sentence = f"{what} {_WORDS[event]}"
    body = f"{sentence}.\n\n{why}\n\n{ctx.services.address}/#job/{run['job_id']}/run/{run['id']}\n"
    notify.post(ctx, notify.Message(sentence.replace("\n", " "), body, payload), addresses, destinations)
