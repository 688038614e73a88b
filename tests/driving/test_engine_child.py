"""A child with room for an engine: Spark runs in it, and it sees no more than a learner's own box does."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.sandbox.children import Door, boxed_child
from labs_lib.driving.driver import Child, Lost
from labs_lib.driving.launch import Launch, plain_child

pytestmark = pytest.mark.ledger

SECONDS = 120.0
PROGRAM = """
def count(rows):
    from labs_lib.engine import session
    return session.connection().spark.range(rows).count()

def seen(port):
    import importlib.util, os, shutil, socket
    found = {name: bool(importlib.util.find_spec(name)) for name in ("labs_lib.patterns", "labs_lib.patterns.checks", "datasets.feeds", "grader")}
    found["tables"] = os.listdir(os.path.join(os.environ["LABS_HOME"], "data"))
    found["programs"] = [name for name in ("git", "bash", "act", "actionlint", "zizmor") if shutil.which(name)]
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
        found["network"] = True
    except OSError:
        found["network"] = False
    return found

def leave_one():
    import subprocess
    return subprocess.Popen(["sleep", "97531"], start_new_session=True).pid
"""


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    opened = Door(tmp_path_factory.mktemp("door"), engine=True)
    with opened.serving():
        yield opened
    assert opened.problems == []


@pytest.fixture
def box(door: Door) -> Launch:
    def launch(engine: bool = False) -> socket.socket:
        assert engine
        return boxed_child(door.name.with_name("children"), engine)  # type: ignore[return-value]

    return launch


needs_a_sandbox = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is for Linux")


def test_spark_runs_in_a_plain_child_on_the_users_own_server() -> None:
    with plain_child(engine=True) as channel:
        child = Child(channel, SECONDS)
        assert not child.load(PROGRAM, "count").error
        assert child.call("", 3).value == 3


def test_a_plain_child_without_an_engine_is_told_of_none() -> None:
    with plain_child() as channel:
        child = Child(channel)
        child.load("import os\ndef told():\n    return sorted(os.environ)", "told")
        assert not {"LABS_HOME", "SPARK_REMOTE"} & set(child.call("").value)


@needs_a_sandbox
def test_spark_runs_in_a_box_on_a_server_of_its_own(box: Launch) -> None:
    with box(engine=True) as channel:
        child = Child(channel, SECONDS)
        assert not child.load(PROGRAM, "count").error
        assert child.call("", 3).value == 3


@needs_a_sandbox
def test_a_box_with_an_engine_shows_no_checks_no_tables_and_no_network(box: Launch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, box(engine=True) as channel:
        child = Child(channel, SECONDS)
        child.load(PROGRAM, "seen")
        answer = child.call("", server.getsockname()[1])
    assert answer.value == {
        "labs_lib.patterns": True,
        "labs_lib.patterns.checks": False,
        "datasets.feeds": False,
        "grader": False,
        "tables": [],
        "programs": ["git", "bash", "act", "actionlint", "zizmor"],
        "network": False,
    }, answer.error


@needs_a_sandbox
def test_nothing_of_such_a_box_is_alive_afterwards(tmp_path: Path) -> None:
    opened = Door(tmp_path, engine=True)
    with opened.serving(), boxed_child(tmp_path / "children", engine=True) as channel:
        child = Child(channel, SECONDS)
        child.load(PROGRAM, "leave_one")
        assert child.call("").value
        assert _sleepers()
    assert not _sleepers()


@needs_a_sandbox
def test_its_limits_end_it(box: Launch) -> None:
    source = "def grow():\n    kept = [bytearray(2**28) for _ in range(40)]\n    return len(kept)"
    with box(engine=True) as channel:
        child = Child(channel, SECONDS)
        child.load(source, "grow")
        with pytest.raises(Lost):
            raise AssertionError(child.call(""))


def _sleepers() -> str:
    return subprocess.run(("pgrep", "-f", "sleep 97531"), capture_output=True, text=True).stdout
