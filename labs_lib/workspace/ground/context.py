"""What a request's handler is given: the store in its transaction, the time, who asks, and the process around it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol


@dataclass(frozen=True)
class Caller:
    """Who asks. `groups` holds the names of all groups, those above in a nesting too; `users` is everybody's."""

    user_name: str
    id: str
    groups: frozenset[str] = frozenset()
    is_admin: bool = False


# The workspace itself: what becomes due by the clock, and what its runner does for itself.
SYSTEM = Caller("System-User", "0", frozenset(), True)


@dataclass(frozen=True)
class Request:
    """Where a request came from, for the audit log."""

    id: str = ""
    source_ip: str = ""
    user_agent: str = ""


class Services(Protocol):
    """The process around a request, for the few that need more than the store."""

    home: Path
    address: str  # http://127.0.0.1:PORT
    services: tuple[ModuleType, ...]
    parts: dict[str, Any]  # what a service keeps in memory, by the service's name

    def transaction(
        self, caller: Caller = SYSTEM, request: Request = Request()
    ) -> AbstractContextManager[Context]:
        """A transaction of its own: for threads, and for what follows an answer's own transaction (`Later`)."""
        ...

    def settle(self) -> None:
        """Let each service do what has become due by now."""
        ...


@dataclass(frozen=True)
class Context:
    """One transaction. `now` is the workspace's clock, in ms since 1970 UTC."""

    db: sqlite3.Connection
    now: int
    caller: Caller
    home: Path
    services: Services
    request: Request = Request()
    _afterwards: list[Callable[[], object]] = field(default_factory=list)

    def after_commit(self, call: Callable[[], object]) -> None:
        """Have this called once the transaction is kept; never if it is rolled back. It must be quick and must not raise."""
        self._afterwards.append(call)
