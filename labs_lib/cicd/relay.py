"""A workspace behind HTTP that somebody else listens to: each request comes as data, and is answered by a trial workspace in this process."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from labs_lib.workspace import app
from labs_lib.workspace.trial import Trial


@dataclass(frozen=True)
class Asked:
    """A request that came through a relay."""

    method: str
    path: str
    status: int


class WorkspaceRelay:
    """Answers HTTP requests from a trial workspace. Whose a request is, the workspace tells by its token, as it always does.

    `before` is called with the workspace before each request: time may go on, or a job that was started may end. `asked` is the record of all.
    """

    def __init__(self, w: Trial, before: Callable[[Trial], object] | None = None) -> None:
        self._w, self._app, self._before = w, app.make(w), before
        self.asked: list[Asked] = []

    def __call__(self, method: str, path: str, headers: Mapping[str, str], body: str) -> dict[str, Any]:
        """One request: its body and the answer's are in base64."""
        if self._before:
            self._before(self._w)
        with ThreadPoolExecutor(1) as thread:  # a notebook's own thread has a loop that runs already
            status, told, content = thread.submit(
                asyncio.run, self._answer(method, path, headers, base64.b64decode(body))
            ).result()
        self.asked.append(Asked(method, urlsplit(path).path, status))
        return {"status": status, "headers": told, "body": base64.b64encode(content).decode()}

    async def _answer(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(path)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(parts.path),
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
            "client": ("127.0.0.1", 0),
            "server": ("127.0.0.1", 80),
        }  # fmt: skip
        status, told, content = 500, dict[str, str](), b""

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status, told, content
            if message["type"] == "http.response.start":
                status = message["status"]
                told = {name.decode("latin-1"): value.decode("latin-1") for name, value in message["headers"]}
            else:
                content += message.get("body", b"")

        await self._app(scope, receive, send)
        return status, told, content


def token_of(w: Trial, user: str) -> str:
    """A token of that user's or service principal's in a trial workspace."""
    return str(w.ask("POST", "/api/labs/tokens", user_name=user)["token_value"])


def service_principal(w: Trial, name: str) -> str:
    """The application id of a new service principal of that name: what deploys is nobody's own account."""
    made = w.ask("POST", "/api/2.0/preview/scim/v2/ServicePrincipals", displayName=name)
    return str(made["applicationId"])
