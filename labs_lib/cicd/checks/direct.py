"""A trial workspace as the bundle tool's own way to one, with no HTTP between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labs_lib.cicd.rest import Refused, Workspace
from labs_lib.workspace.ground.errors import WorkspaceError
from labs_lib.workspace.trial import Trial


class Direct(Workspace):
    """Requests of one user's. `asked` has the paths of those that change something."""

    def __init__(self, w: Trial, user: str) -> None:
        super().__init__("", "")
        object.__setattr__(self, "_w", w)
        object.__setattr__(self, "_user", user)
        object.__setattr__(self, "asked", [])

    def get(self, path: str, /, **query: Any) -> dict[str, Any]:
        """What is there. Raises Refused."""
        return self.ask("GET", path, query)

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A request's answer. Raises Refused."""
        w, user, asked = (self.__dict__[name] for name in ("_w", "_user", "asked"))
        if method != "GET":
            asked.append(path)
        try:
            answer: dict[str, Any] = w.ask(method, path, user, **(body or {})) or {}
            return answer
        except WorkspaceError as error:
            raise Refused(error.message, error.error_code) from None
