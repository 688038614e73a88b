"""A sandbox's control group by its files alone: version 2, which few machines that run these tests have, as folders of their own."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.sandbox import cgroup, runner
from grader.sandbox.cgroup import Group
from grader.sandbox.runner import Limits, Use

CALM = "low 0\nhigh 0\nmax 12\noom 1\noom_kill 0\noom_group_kill 0\n"
KILLED = CALM.replace("oom_kill 0", "oom_kill 3")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The caller's group of version 2, below one that hands memory on to its groups and has no limit."""
    own = tmp_path / "slice" / "session"
    own.mkdir(parents=True)
    (own.parent / "cgroup.subtree_control").write_text("cpu memory pids\n")
    (own / "memory.max").write_text("max\n")
    monkeypatch.setattr(cgroup, "_own_groups", lambda: {"": own})
    return own


@pytest.mark.parametrize(
    ("file", "text", "out"),
    [
        ("memory.events", CALM, False),
        ("memory.events", KILLED, True),
        ("memory.events", CALM.replace("oom_group_kill 0", "oom_group_kill 1"), False),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", False),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 1\noom_kill 12\n", True),
        ("memory.max", "oom_kill 1", False),
    ],
)
def test_that_the_kernel_killed_for_memory_is_read(tmp_path: Path, file: str, text: str, out: bool) -> None:
    (tmp_path / file).write_text(text)
    assert Group((tmp_path / "gone", tmp_path)).ran_out_of_memory() is out


def test_in_version_2_it_goes_beside_the_callers_group(own: Path) -> None:
    ((parent, settings),) = cgroup._places(100, 7)
    assert parent == own.parent
    needed = {file for file, (_, must) in settings.items() if must}
    assert needed == {"memory.max"} and settings["memory.max"][0] == "100"
    assert settings["memory.oom.group"][0] == "1" and settings["pids.max"][0] == "7"


@pytest.mark.parametrize(
    ("file", "text"), [("memory.max", "1073741824\n"), ("../cgroup.subtree_control", "cpu pids\n")]
)
def test_there_is_none_where_it_would_be_a_way_around_a_limit_or_count_no_memory(
    own: Path, file: str, text: str
) -> None:
    (own / file).write_text(text)
    assert list(cgroup._places(100, 7)) == []


def test_version_1_counts_where_both_are_there(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = {"": own, "memory": own / "memory", "pids": own / "pids", "cpu": own / "cpu"}
    monkeypatch.setattr(cgroup, "_own_groups", lambda: places)
    assert [parent.name for parent, _ in cgroup._places(100, 7)] == ["memory", "pids", "cpu"]


def test_optional_settings_are_written_where_the_kernel_has_them(own: Path) -> None:
    folder = own.parent / "box"
    folder.mkdir()
    (folder / "memory.oom.group").write_text("0")
    ((_, settings),) = cgroup._places(100, 7)
    assert cgroup._set(folder, settings)
    Group((folder,)).take([12])
    written = {path.name: path.read_text() for path in folder.iterdir()}
    assert written == {"memory.max": "100", "memory.oom.group": "1", "cgroup.procs": "12"}
    assert not cgroup._set(own.parent / "not there", settings)


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is for Linux")
def test_a_box_whose_group_ran_out_of_memory_ends_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the kernel killed in it: the command itself sleeps on, and is not waited for."""
    events, box = tmp_path / "group" / "memory.events", tmp_path / "box"
    events.parent.mkdir()
    events.write_text(CALM)
    box.mkdir()

    @contextlib.contextmanager
    def group(memory: int, processes: int) -> Iterator[Group]:
        yield Group((events.parent,))

    def kill(use: Use) -> None:
        events.write_text(KILLED)

    monkeypatch.setattr(cgroup, "group", group)
    command = [sys.executable, "-c", "import time; time.sleep(3600)"]
    ended = runner.run(command, box, readonly=[], environment={}, limits=Limits(), on_look=kill)
    assert (ended.returncode, ended.reason) == (None, "memory")
    assert (events.parent / "cgroup.procs").read_text().isdecimal()
