"""The judge's side of commands that run over a learner's files: the child (`labs_lib/cicd/shell.py`) that runs them, and the workspace that they deploy to.

    with trial({}) as w, opened(observer, WorkspaceRelay(w)) as shop:
        shop.lay("retail", files)
        ran = shop.run(["git", "init"], "retail")
        ran = shop.run(["python", "deploy.py"], "retail", {"DATABRICKS_HOST": shop.address, "DATABRICKS_TOKEN": token_of(w, "ana@example.com")})
    w.ask("GET", "/api/2.0/workspace/list", path="/Shared")

All that comes out of the child was written where a stranger's code ran. What counts is the state of the workspace.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from labs_lib.checking.evidence import Unusable
from labs_lib.checking.observer import Observer
from labs_lib.cicd import shell
from labs_lib.cicd.shell import Ran
from labs_lib.driving.driver import Answer, Child
from labs_lib.workspace import app
from labs_lib.workspace.trial import Trial

PROGRAM = Path(shell.__file__).read_text(encoding="utf-8")
LONGEST = 120.0  # seconds for a command, with all that it asks of the workspace


class Workshop:
    """A child that runs commands. A request that loses it raises Lost."""

    def __init__(self, child: Child, address: str) -> None:
        self._child = child
        self.address = address

    def lay(self, folder: str, files: Mapping[str, str], executable: Sequence[str] = ()) -> None:
        """Write files below a folder of the child's."""
        self._value(self._child.call("lay", folder, dict(files), list(executable)))

    def read(self, path: str) -> str | None:
        """A file's text, or None if it isn't there."""
        value = self._value(self._child.call("read", path))
        return value if isinstance(value, str) else None

    def run(
        self,
        command: Sequence[str],
        folder: str = ".",
        environment: Mapping[str, str] | None = None,
        seconds: float = 60,
        given: str = "",
        engine: bool = False,
    ) -> Ran:
        """What becomes of a command in a folder of the child's, which sees a path, a home of its own and that environment."""
        said = self._value(
            self._child.call("run", list(command), folder, dict(environment or {}), seconds, given, engine)
        )
        said = said if isinstance(said, dict) else {}
        code = said.get("code")
        return Ran(code if type(code) is int else None, str(said.get("out", "")), str(said.get("err", "")))

    def call(self, *arguments: Any) -> Any:
        """For programs of other steps: what `child.call` gives, or Unusable."""
        return self._value(self._child.call(*arguments))

    def _value(self, answer: Answer) -> Any:
        if answer.error:
            raise Unusable(f"What you handed in can't be tried: the folder that it runs in {answer.error}.")
        return answer.value


@contextlib.contextmanager
def opened(
    observer: Observer, serve: Callable[..., Any] | None = None, seconds: float = LONGEST
) -> Iterator[Workshop]:
    """A workshop in a child of its own. `serve` answers what is asked at its `address`: a `WorkspaceRelay`, or any function like it."""
    with observer.program(PROGRAM, "Shell", seconds, engine=True) as child:
        made = child.make(serve) if serve else child.make()
        if made.error:
            raise Unusable(f"The process that tries what you handed in failed: {made.error}.")
        yield Workshop(child, str(child.call("address").value))


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
