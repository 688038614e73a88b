"""Fixtures: a LABS_HOME of the test's own whose jars, class archive and data are the shared ones."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labs_lib import settings

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def shared_home() -> Path:
    """The user's own LABS_HOME: `make test` has set it up."""
    return settings.home()


@pytest.fixture
def own_home(shared_home: Path, tmp_path: Path) -> Iterator[Path]:
    """A LABS_HOME with a server of its own, which is stopped at the end of the test."""
    home = tmp_path / "home"
    home.mkdir()
    for part in ("jars", "cds", "data"):
        (shared_home / part).mkdir(exist_ok=True, parents=True)
        (home / part).symlink_to(shared_home / part)
    yield home
    labs = [sys.executable, "-m", "labs_lib.cli", "stop"]
    subprocess.run(labs, env=os.environ | {"LABS_HOME": str(home)}, capture_output=True, timeout=60)


@pytest.fixture
def run_python(own_home: Path, tmp_path: Path) -> Run:
    """Run a piece of Python in a process of its own with that LABS_HOME; `timeout` fails a test that hangs."""

    def run(code: str, timeout: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
        clean = {key: value for key, value in os.environ.items() if key not in {"SPARK_REMOTE", "JAVA_HOME"}}
        env = (
            clean | {"LABS_HOME": str(own_home), "LABS_WORKSPACE": str(tmp_path / "workspace")} | environment
        )
        return subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=timeout
        )

    return run
