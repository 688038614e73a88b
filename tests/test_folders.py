"""Folders that can't be used: each command says so in a sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labs_lib import settings
from labs_lib.errors import LabsError


@pytest.mark.parametrize("command", ["setup", "start", "stop", "status", "doctor", "progress", "lab"])
def test_a_file_where_a_folder_should_be_is_a_sentence_of_each_command(command: str, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    environment = {**os.environ, "LABS_HOME": str(blocked), "LABS_WORKSPACE": str(blocked), "COLUMNS": "200"}
    more = ["--no-browser", "--folder", str(blocked / "work")] if command == "lab" else []
    run = subprocess.run(
        [sys.executable, "-m", "labs_lib.cli", command, *more],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 1 and "Traceback" not in run.stderr
    assert str(blocked) in run.stderr and "folder that you can" in run.stderr


@pytest.mark.parametrize("place", ["/proc/labs", "/proc/self/status/labs"])
def test_a_folder_that_cannot_be_made_names_its_variable(place: str) -> None:
    with pytest.raises(LabsError, match=r"can't be used \(.+\); let LABS_HOME name a folder"):
        settings.usable(Path(place), "LABS_HOME")


def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(LabsError, match="you may not write there"):
        settings.usable(tmp_path, "LABS_HOME")
