"""Commands from a notebook, against the lab's own workspace: what they print, without what is another in every run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from labs_lib.lab import Lab
from labs_lib.workspace import client

_IDS = (
    (re.compile(r"\[id=[^\]]*\]"), "[id=…]"),
    (re.compile(r"\bpool-\d{6}\b|\b[0-9A-F]{16}\b"), "…"),
    (re.compile(r'(\b(?:job_)?id\s+= )"\d+"'), r'\1"…"'),
    (re.compile(r'"/(jobs|cluster-policies|instance-pools)/[^"]+"'), r'"/\1/…"'),
    (re.compile(r"\b[0-9.]+s(?=$|\b)"), "…s"),
)
SECONDS = 300


def command_line(
    lab: Lab, folder: Path | str, line: str, only: str = "", environment: dict[str, str] | None = None
) -> int:
    """Run a command in a folder and print what it says; returns its exit code. `only` is a pattern for the lines to be shown.

    The command finds the lab's workspace in DATABRICKS_HOST and DATABRICKS_TOKEN.
    """
    told = {
        **os.environ,
        "DATABRICKS_HOST": client.address_of(lab.folder),
        "DATABRICKS_TOKEN": lab.token_for(),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))),
        **(environment or {}),
    }
    done = subprocess.run(
        shlex.split(line),
        cwd=folder,
        env=told,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
    )
    print(f"$ {line}")
    for each in done.stdout.splitlines():
        if not only or re.search(only, each):
            print(tidy(each))
    return done.returncode


def tidy(text: str) -> str:
    """A line without ids and durations."""
    for pattern, instead in _IDS:
        text = pattern.sub(instead, text)
    return text.rstrip()
