"""A Spark server that nobody else uses: a LABS_HOME of its own beside the user's, for work that goes on side by side."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labs_lib import settings

SHARED = ("jars", "cds", "data")  # what takes long to make and is only read, or written under a lock


def furnish(home: Path, source: Path) -> None:
    """Link what takes long to make from one LABS_HOME into a new one."""
    for part in SHARED:
        (source / part).mkdir(exist_ok=True, parents=True)
        (home / part).symlink_to((source / part).resolve())


def stop_server(home: Path) -> None:
    """Stop the server of a LABS_HOME, if one runs."""
    labs = [sys.executable, "-m", "labs_lib.cli", "stop"]
    subprocess.run(labs, env=os.environ | {"LABS_HOME": str(home)}, capture_output=True, timeout=60)


@contextmanager
def own_server() -> Iterator[dict[str, str]]:
    """An environment in which Spark's server is the block's own: it starts on first need and is stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="labs-home-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        furnish(home, settings.home())
        try:
            yield {**os.environ, "LABS_HOME": name}
        finally:
            stop_server(home)
