"""A workspace in this process for a judge: it holds a declared state, is asked things in people's names, and has a time that only moves when told.

No HTTP, no threads, no process of a task: what is asked goes through an endpoint's own model and handler, in a transaction.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from labs_lib.workspace import app, identity
from labs_lib.workspace.ground.context import SYSTEM, Caller, Context, Request
from labs_lib.workspace.ground.core import Workspace
from labs_lib.workspace.ground.endpoints import Later, validated
from labs_lib.workspace.ground.errors import NoSuchEndpoint, NotFound, PermissionDenied

BEGIN = 1_767_225_600_000  # 1 January 2026, ms since 1970 UTC


class _Undone(Exception):
    """Leaves a transaction so that nothing of it stays."""


class Trial(Workspace):
    """A workspace whose clock stands at `moment` (ms since 1970 UTC)."""

    def __init__(self, home: Path, moment: int = BEGIN) -> None:
        self.moment = moment
        super().__init__(home, app.SERVICES)

    @contextmanager
    def transaction(self, caller: Caller = SYSTEM, request: Request = Request()) -> Iterator[Context]:  # noqa: B008
        """As a workspace's own, at this one's moment."""
        with super().transaction(caller, request) as ctx:
            yield replace(ctx, now=self.moment)

    def ask(self, method: str, path: str, user: str = identity.LEARNER, /, **fields: Any) -> Any:
        """What a request of that user's is answered. Raises WorkspaceError for a refusal, and NotFound or PermissionDenied for nobody."""
        with self._asked(method, path, user, fields) as answer:
            return answer

    def would(self, method: str, path: str, user: str, /, **fields: Any) -> bool:
        """Whether a request of that user's would be answered; nothing of it stays. Raises WorkspaceError for a refusal that is no question of rights."""
        try:
            with self._asked(method, path, user, fields):
                raise _Undone
        except _Undone:
            return True
        except (NotFound, PermissionDenied):
            return False

    @contextmanager
    def trying(self, user: str = identity.LEARNER) -> Iterator[Context]:
        """A context in that user's name, of which nothing stays."""
        try:
            with self.transaction() as ctx:
                yield replace(ctx, caller=identity.as_user(ctx, user))
                raise _Undone
        except _Undone:
            return

    def go_on(self, to: int, each: Callable[[Context], object]) -> None:
        """Let time pass up to a moment, from event to event; after each of them `each` is called in a transaction of its own."""
        while True:
            self.settle()
            with self.transaction() as ctx:
                each(ctx)
                dues = [due for service in self._having("due") if (due := service.due(ctx)) is not None]
            if self.moment >= to:
                return
            self.moment = min(max(min(dues, default=to), self.moment + 1), to)

    @contextmanager
    def _asked(self, method: str, path: str, user: str, fields: dict[str, Any]) -> Iterator[Any]:
        endpoint, found = next(
            (
                (endpoint, match.groupdict())
                for service in self.services
                for endpoint in service.ENDPOINTS
                if endpoint.method == method and (match := re.fullmatch(_pattern(endpoint.path), path))
            ),
            (None, {}),
        )
        if endpoint is None:
            raise NoSuchEndpoint(f"There is no {method} {path} in this workspace.")
        with self.transaction() as ctx:
            answer = endpoint.handle(
                replace(ctx, caller=identity.as_user(ctx, user)),
                validated(endpoint.model, {**fields, **found}),
            )
            if isinstance(answer, Later):
                raise NoSuchEndpoint(f"{method} {path} waits for another process, which a trial has none of.")
            yield answer


@contextmanager
def trial(state: dict[str, Any], moment: int = BEGIN) -> Iterator[Trial]:
    """A workspace that holds exactly that state, as `client.exported` gives it. Raises WorkspaceError if it can't be loaded."""
    with tempfile.TemporaryDirectory(prefix="labs-trial-", ignore_cleanup_errors=True) as folder:
        opened = Trial(Path(folder), moment)
        try:
            opened.ask("PUT", "/api/labs/state", **state)
            yield opened
        finally:
            opened.store.close()


def _pattern(path: str) -> str:
    return re.sub(r"\\\{(\w+)(?::path)?\\\}", r"(?P<\1>[^/]+)", re.escape(path))
