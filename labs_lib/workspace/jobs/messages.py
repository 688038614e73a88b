"""Who is told what about a run: by e-mail and by webhook, through the outbox.

Source: docs.databricks.com, "Add notifications on a job", whose payload a webhook gets.
"""

from __future__ import annotations

import sqlite3

from labs_lib.workspace import notify
from labs_lib.workspace.ground import store
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.jobs.model import Settings

_WORDS = {"on_start": "started", "on_success": "succeeded", "on_failure": "failed"}


def tell(ctx: Context, run: sqlite3.Row, settings: Settings, event: str) -> None:
    """Tell of a run what its job's settings want told."""
    addresses = getattr(settings.email_notifications, event)
    destinations = [each.id for each in getattr(settings.webhook_notifications, event)]
    payload = {
        "event_type": f"jobs.{event}",
        "workspace_id": store.setting(ctx.db, "workspace_id"),
        "run": {"run_id": run["id"]},
        "job": {"job_id": run["job_id"], "name": settings.name},
    }
    sentence = f"The run {run['id']} of the job {settings.name!r} {_WORDS[event]}"
    body = f"{sentence}.\n\n{run['message']}\n\n{ctx.services.address}/#job/{run['job_id']}/run/{run['id']}\n"
    notify.post(ctx, notify.Message(sentence.replace("\n", " "), body, payload), addresses, destinations)
