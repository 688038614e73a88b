"""The judge's side of commands that run over a learner's files: the child (`labs_lib/cicd/shell.py`) that runs them, and the workspace that they deploy to.

    with trial({}) as w, opened(observer, WorkspaceRelay(w)) as shop:
        shop.lay("retail", files)
        ran = shop.run(["git", "init"], "retail")
        ran = shop.run(["python", "deploy.py"], "retail", {"DATABRICKS_HOST": shop.address, "DATABRICKS_TOKEN": token_of(w, "ana@example.com")})
    w.ask("GET", "/api/2.0/workspace/list", path="/Shared")

All that comes out of the child was written where a stranger's code ran. What counts is the state of the workspace.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from labs_lib.checking.evidence import Unusable
from labs_lib.checking.observer import Observer
from labs_lib.cicd import shell
from labs_lib.cicd.relay import WorkspaceRelay, service_principal, token_of
from labs_lib.cicd.shell import Ran
from labs_lib.driving.driver import Answer, Child

__all__ = ["Ran", "Workshop", "WorkspaceRelay", "opened", "service_principal", "token_of"]

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
