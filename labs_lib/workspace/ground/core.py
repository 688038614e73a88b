"""A running workspace: its store and services; what is due by the clock happens before anything is answered."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from labs_lib.workspace.ground import clock, store
from labs_lib.workspace.ground.context import SYSTEM, Caller, Context, Request

log = logging.getLogger("labs.workspace")
STEPS = 100_000  # moments that one move of the clock may stop at
AGAIN = 100  # times that something may be due at one moment: what then still is would be for ever


class Workspace:
    """Store, services and what these keep in memory. Each service is a module with SCHEMA and ENDPOINTS, and, where it needs them,
    `prepare(ctx)` (what a new workspace begins with), `tick(ctx)`, `due(ctx)`, `start(services)`, `stop(services)`, `busy(services)`, `export(ctx)`, `load(ctx, state)`.
    """

    def __init__(self, home: Path, services: Sequence[ModuleType]) -> None:
        self.home = home
        self.address = ""
        self.parts: dict[str, Any] = {}
        self._used = True
        self.services = tuple(services)
        self.store = store.Store(home / "workspace.db", [service.SCHEMA for service in services])
        with self.transaction() as ctx:
            if not store.setting(ctx.db, "workspace_id"):
                store.set_setting(ctx.db, "workspace_id", str(uuid.uuid4().int % 10**16))
            for service in self._having("prepare"):
                service.prepare(ctx)
            self.id = store.setting(ctx.db, "workspace_id")

    @contextmanager
    def transaction(self, caller: Caller = SYSTEM, request: Request = Request()) -> Iterator[Context]:  # noqa: B008
        """A context in a transaction of its own; what it asked to be called afterwards is called once it is kept."""
        with self.store.transaction() as db:
            ctx = Context(db, clock.now(db), caller, self.home, self, request)
            yield ctx
        for call in ctx._afterwards:
            call()

    def note_use(self) -> None:
        """Somebody asked something of the workspace."""
        self._used = True

    def was_used(self) -> bool:
        """Whether anything was asked of the workspace since this was called last, or a service has work to do."""
        used, self._used = self._used, False
        return used or any(service.busy(self) for service in self._having("busy"))

    def settle(self) -> None:
        """Let each service do what has become due by now, moment by moment, in the order of time."""
        with self.transaction() as ctx:
            last, again = -1, 0
            for _ in range(STEPS):
                dues = [due for service in self._having("due") if (due := service.due(ctx)) is not None]
                moment = min(dues, default=ctx.now)
                again = again + 1 if moment == last else 0
                if moment >= ctx.now or again > AGAIN:
                    break
                self._tick(ctx, moment)
                last = moment
            self._tick(ctx, ctx.now)

    def _tick(self, ctx: Context, moment: int) -> None:
        for service in self._having("tick"):
            ctx.db.execute("SAVEPOINT tick")
            try:
                service.tick(replace(ctx, now=moment))
            except Exception:  # one service's fault must not be everybody's
                ctx.db.execute("ROLLBACK TO tick")
                log.exception("%s failed at what was due", service.__name__)
            ctx.db.execute("RELEASE tick")

    def start(self) -> None:
        """Start what services do beside answering."""
        for service in self._having("start"):
            service.start(self)

    def stop(self) -> None:
        """Stop it, in the opposite order, and close the store."""
        for service in reversed(self._having("stop")):
            service.stop(self)
        self.store.close()

    def _having(self, name: str) -> list[Any]:
        return [service for service in self.services if hasattr(service, name)]
