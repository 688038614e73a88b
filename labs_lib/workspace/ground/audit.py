"""Rows of the audit log, in the transaction that they speak of. `system` makes Delta tables of them, with the published columns."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Mapping
from typing import Any

from labs_lib.workspace.ground import store
from labs_lib.workspace.ground.context import Request

SCHEMA = """
CREATE TABLE IF NOT EXISTS audit (
    number INTEGER PRIMARY KEY, event_id TEXT NOT NULL, event_time INTEGER NOT NULL, source_ip_address TEXT, user_agent TEXT,
    user_name TEXT, service_name TEXT NOT NULL, action_name TEXT NOT NULL, request_id TEXT, request_params TEXT NOT NULL,
    status_code INTEGER NOT NULL, error_message TEXT
);
"""
ENDPOINTS = ()

# Never in a row, whatever the action.
HIDDEN = frozenset({"string_value", "bytes_value", "token_value", "password", "content", "contents"})
LONGEST = 2000  # characters of a parameter


def write(
    db: sqlite3.Connection,
    now: int,
    user_name: str | None,
    action: tuple[str, str],
    params: Mapping[str, Any],
    request: Request,
    status: int = 200,
    error: str | None = None,
) -> None:
    """Add a row. `action` is service and action name; values of `params` are kept as text, as in `system.access.audit`."""
    kept = {
        name: (value if isinstance(value, str) else json.dumps(value, default=str))[:LONGEST]
        for name, value in params.items()
        if value is not None and name not in HIDDEN
    }
    store.insert(
        db, "audit", event_id=str(uuid.uuid4()), event_time=now, source_ip_address=request.source_ip,
        user_agent=request.user_agent, user_name=user_name, service_name=action[0], action_name=action[1],
        request_id=request.id, request_params=json.dumps(kept), status_code=status, error_message=error,
    )  # fmt: skip
