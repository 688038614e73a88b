"""Fixtures: a LABS_HOME of the test's own whose jars, class archive and data are the shared ones.

Under pytest-xdist each worker has such a home, and so a Spark server, of its own. A file's tests stay together, as they share fixtures;
the long files come first, so that short ones fill the end.
"""

from __future__ import annotations

import os
import random
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from grader.rehearsal.own_server import furnish, stop_server
from labs_lib import settings

Run = Callable[..., "subprocess.CompletedProcess[str]"]
SHARED = settings.home()  # the user's own, which `make test` has set up
LONG = ("test_boxed", "test_answers")
DRAWN = 0.04  # of the files whose tests stand in the ledger


pytest.register_assert_rewrite("attackers")  # it holds tests, and their assertions should say as much


def pytest_configure(config: pytest.Config) -> None:
    os.environ.setdefault("LABS_DRAW", str(secrets.randbelow(2**31 - 1) + 1))
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ["LABS_HOME"] = tempfile.mkdtemp(prefix="labs-home-")
        furnish(Path(os.environ["LABS_HOME"]), SHARED)


def pytest_unconfigure(config: pytest.Config) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        stop_server(Path(os.environ["LABS_HOME"]))
        shutil.rmtree(os.environ["LABS_HOME"], ignore_errors=True)


def pytest_report_header() -> str:
    return f"proofs are drawn under seed {os.environ['LABS_DRAW']} (repeat with: make test SEED={os.environ['LABS_DRAW']})"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
        if item.get_closest_marker("ledger") and not _drawn(item):
            item.add_marker(pytest.mark.proof)
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


def _drawn(item: pytest.Item) -> bool:
    """Whether this run tries a test that stands in the ledger, which a ledger that lies can't foresee.

    By file, as the tests of one share what takes long to make: one by one, nearly every run would grade the class of attackers.
    """
    return random.Random(f"{os.environ['LABS_DRAW']} {item.path.name}").random() < DRAWN


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: Sequence[str]) -> None:
    """End the run if xdist lost the groups, as it silently does under a pytest that it doesn't know."""
    lost = [test for test in ids if "@" not in test]
    if lost and node.config.getvalue("dist") == "loadgroup":
        pytest.exit(
            f"xdist gives {lost[0]} no group: is pytest newer than pyproject.toml allows?", returncode=2
        )


@pytest.fixture(scope="session")
def shared_home() -> Path:
    """The user's own LABS_HOME."""
    return SHARED


@pytest.fixture
def own_home(tmp_path: Path) -> Iterator[Path]:
    """A LABS_HOME with a server of its own, which is stopped at the end of the test."""
    home = tmp_path / "home"
    home.mkdir()
    furnish(home, SHARED)
    yield home
    stop_server(home)


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
