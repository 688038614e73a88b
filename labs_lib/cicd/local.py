"""A notebook's own place to run commands in: the same as a judge's, with a folder of its own that is gone afterwards."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence

from labs_lib.cicd.shell import Ran, Serve, Shell


class Here:
    """Commands in a folder of this process's."""

    def __init__(self, folder: str, serve: Serve | None = None) -> None:
        self._shell = Shell(serve, folder)
        self.address = self._shell.address()

    def lay(self, folder: str, files: Mapping[str, str], executable: Sequence[str] = ()) -> None:
        """Write files below a folder."""
        self._shell.lay(folder, files, executable)

    def run(
        self,
        command: Sequence[str],
        folder: str = ".",
        environment: Mapping[str, str] | None = None,
        seconds: float = 60,
    ) -> Ran:
        """Run a command in a folder, with nothing of this process's environment but the path."""
        path = os.pathsep.join((f"{sys.prefix}/bin", os.environ.get("PATH", os.defpath)))
        return Ran(**self._shell.run(command, folder, {"PATH": path, **(environment or {})}, seconds))


@contextlib.contextmanager
def here(serve: Serve | None = None) -> Iterator[Here]:
    """A place for commands, empty at first and gone at the end."""
    with tempfile.TemporaryDirectory(prefix="labs-cicd-", ignore_cleanup_errors=True) as folder:
        yield Here(folder, serve)
