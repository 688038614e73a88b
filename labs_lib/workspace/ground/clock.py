"""The workspace's own time: the machine's, moved ahead by hand. What schedules, expiry and logs go by; nothing sleeps."""

from __future__ import annotations

import sqlite3
import time

from pydantic import ConfigDict

from labs_lib.workspace.ground import store
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.endpoints import Endpoint, Model
from labs_lib.workspace.ground.errors import InvalidParameter, PermissionDenied

SCHEMA = ""
FURTHEST = 4_102_444_800_000  # 1 January 2100


def now(db: sqlite3.Connection) -> int:
    """The workspace's time in ms since 1970 UTC."""
    return time.time_ns() // 1_000_000 + int(store.setting(db, "clock_ahead", "0"))


def move(db: sqlite3.Connection, to: int) -> None:
    """Have the workspace's time go on from there. Raises InvalidParameter if that is in its past, or past the year 2099."""
    ahead = to - now(db)
    if ahead < 0:
        raise InvalidParameter(
            f"The clock can't go back: it is {now(db)} ms since 1970 already and {to} is earlier; make a new workspace instead."
        )
    if to >= FURTHEST:
        raise InvalidParameter(f"The clock can't go to {to} ms since 1970: it ends with the year 2099.")
    store.set_setting(db, "clock_ahead", str(int(store.setting(db, "clock_ahead", "0")) + ahead))


class Move(Model):
    model_config = ConfigDict(extra="forbid")
    advance: float | None = None  # seconds
    set: int | None = None  # ms since 1970 UTC


def _move(ctx: Context, wanted: Move) -> dict[str, int]:
    if not ctx.caller.is_admin:
        raise PermissionDenied("Only an admin moves the workspace's clock.")
    if (wanted.advance is None) == (wanted.set is None):
        raise InvalidParameter("Give either advance, in seconds, or set, in ms since 1970 UTC.")
    if wanted.advance is not None and not 0 <= wanted.advance * 1000 < FURTHEST:
        raise InvalidParameter(f"advance is {wanted.advance}; it has to be a number of seconds, 0 or more.")
    move(ctx.db, wanted.set if wanted.set is not None else now(ctx.db) + round((wanted.advance or 0) * 1000))
    return {"now": now(ctx.db)}


def _tell(ctx: Context, _: Model) -> dict[str, int]:
    return {"now": ctx.now}


ENDPOINTS = (
    Endpoint("GET", "/api/labs/clock", _tell),
    Endpoint("POST", "/api/labs/clock", _move, Move),
)
