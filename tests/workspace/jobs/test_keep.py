"""The keeper of one task's process, alone."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from labs_lib.workspace.tasks import keep
from tests.workspace.jobs.conftest import until


def start(folder: Path, code: str, timeout: float = 0) -> tuple[subprocess.Popen[bytes], str]:
    """A keeper that keeps a Python task, and the mark."""
    mark = secrets.token_hex(8)
    command = [
        sys.executable,
        "-I",
        "-B",
        str(keep.__file__),
        str(folder),
        mark,
        str(timeout),
        sys.executable,
        "-u",
        "-c",
        code,
    ]
    return subprocess.Popen(command, stdin=subprocess.PIPE), mark


def ended(folder: Path) -> dict[str, object]:
    return dict(json.loads((folder / "ended.json").read_text()))


def test_how_a_task_ends_is_told(tmp_path: Path) -> None:
    for code, timeout, expected in [
        ("print('out')", 0, {"code": 0, "why": ""}),
        ("import sys; print('out'); sys.exit(3)", 0, {"code": 3, "why": ""}),
        (
            "import os, signal; print('out'); os.kill(os.getpid(), signal.SIGTERM)",
            0,
            {"code": -15, "why": ""},
        ),
        ("import time; print('out'); time.sleep(600)", 1, {"code": -9, "why": "timeout"}),
    ]:
        keeper, _ = start(tmp_path, code, timeout)
        assert keeper.wait(60) == 0 and ended(tmp_path) == expected
        assert (tmp_path / "log").read_text() == "out\n"


def test_the_task_ends_with_whoever_holds_the_keepers_input(tmp_path: Path) -> None:
    keeper, mark = start(tmp_path, "import time; print('began'); time.sleep(600)")
    until(lambda: (tmp_path / "log").exists() and (tmp_path / "log").read_text(), "the start")
    assert len(list(keep._marked(mark))) == 1
    keeper.stdin.close()
    assert keeper.wait(60) == 0 and ended(tmp_path) == {"code": -9, "why": "stopped"}


def test_the_task_ends_with_its_keeper(tmp_path: Path) -> None:
    keeper, mark = start(tmp_path, "import time; print('began'); time.sleep(600)")
    until(lambda: (tmp_path / "log").exists() and (tmp_path / "log").read_text(), "the start")
    (pid,) = keep._marked(mark)
    keeper.kill()
    keeper.wait()
    until(
        lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, "the end"
    )
    assert not (tmp_path / "ended.json").exists()


@pytest.mark.parametrize("proc", ["/proc", "/nowhere"])
def test_a_sweep_finds_what_made_a_session_of_its_own_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, proc: str
) -> None:
    monkeypatch.setattr(keep, "PROC", Path(proc))
    mark = secrets.token_hex(8)
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    ours = subprocess.Popen(sleep, env={**os.environ, keep.MARK: mark}, start_new_session=True)
    others = [
        subprocess.Popen(sleep, env={**os.environ, keep.MARK: other}) for other in (f"{mark}0", mark[:-1], "")
    ]
    until(lambda: list(keep._marked(mark)) == [ours.pid], "the start")
    keep.sweep(mark)
    assert ours.wait(60) == -9 and all(other.poll() is None for other in others)
    for other in others:
        other.kill()
        other.wait()
