"""Moving the clock as a simulation does: to the next moment at which something happens, and on only when what began there has told how long it takes.

A process needs real time to start; a clock that leaps over it would have it begin where the leap ends. `POST /api/labs/jobs/advance` moves the clock
to its goal by such steps. It stops after a while, so that no request takes long: ask again until `done`.
"""

from __future__ import annotations

import time
from typing import Any

from pydantic import ConfigDict, Field

from labs_lib.workspace import identity
from labs_lib.workspace.ground import clock
from labs_lib.workspace.ground.context import Context, Services
from labs_lib.workspace.ground.endpoints import Endpoint, Later, Model
from labs_lib.workspace.jobs import flow

PATIENCE = 15.0  # seconds of real time
_PROCESSES = f"SELECT count(*) FROM attempts WHERE ready IS NOT NULL AND {flow.ALIVE}"


class Goal(Model):
    model_config = ConfigDict(extra="forbid")
    to: int = Field(ge=0)  # ms since 1970 UTC


def tell(ctx: Context, _: Model) -> dict[str, Any]:
    """How many tasks have a process, or could have one at once, and when something next happens by itself."""
    return {"processes": ctx.db.execute(_PROCESSES).fetchone()[0], "next": _next(ctx), "now": ctx.now}


def _next(ctx: Context) -> int | None:
    moments = [service.due(ctx) for service in ctx.services.services if hasattr(service, "due")]
    return min((moment for moment in moments if moment is not None), default=None)


def _advance(ctx: Context, goal: Goal) -> Later:
    identity.require_admin(ctx, "moves the workspace's clock")
    services = ctx.services
    return Later(lambda: _steps(services, goal.to))


def _steps(services: Services, goal: int) -> dict[str, Any]:
    end = time.monotonic() + PATIENCE
    while True:
        services.settle()
        with services.transaction() as ctx:
            told = tell(ctx, Model())
            if not told["processes"]:
                if told["now"] >= goal:
                    return {"now": told["now"], "done": True}
                clock.move(ctx.db, max(told["now"], min(goal, told["next"] or goal)))
        if time.monotonic() > end:
            return {"now": told["now"], "done": False}
        if told["processes"]:
            time.sleep(0.005)


ENDPOINTS = (
    Endpoint("GET", "/api/labs/jobs", tell),
    Endpoint("POST", "/api/labs/jobs/advance", _advance, Goal),
)
