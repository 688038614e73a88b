"""nbval replays a committed instructor notebook and compares every output with the stored one."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from grader.course import paths
from grader.course.notebook import Place, read
from grader.rehearsal.execute import CELL_TIMEOUT, START_TIMEOUT, environment
from grader.rehearsal.nbval_plugin import EVENT
from grader.rehearsal.outcome import Failure, Listener, Outcome, Recorder
from labs_lib import registry
from labs_lib.errors import LabsError
from labs_lib.registry import Module

STOP_SECONDS = 30  # how long an interrupted replay may take to shut its kernel down
SANITIZE_FILE = "nbval_sanitize.cfg"


def replay(root: Path, module: Module, workspace: Path, listener: Listener) -> Outcome:
    """Replay a module's committed instructor notebook in `workspace` and compare its outputs.

    Raises LabsError if there is no notebook or it holds a cell that was never executed: nbval compares
    nothing for such a cell.
    """
    path = paths.solution_file(root, module.name)
    if not path.is_file():
        raise LabsError(f"{path.relative_to(root)} does not exist; run `grader build {module.name}`.")
    cells = read(path).cells
    code = [index for index, cell in enumerate(cells) if cell.cell_type == "code"]
    if any(cells[index].execution_count is None and cells[index].source.strip() for index in code):
        raise LabsError(
            f"{path.relative_to(root)} has cells never executed; run `grader build {module.name}`."
        )
    recorder = Recorder(module, "replay", listener)
    started = time.monotonic()
    # nbval runs a notebook in the folder it lies in, so a copy keeps solutions/ free of what cells write.
    notebook = workspace / path.name
    shutil.copyfile(path, notebook)
    with _start(root, notebook, workspace) as process:
        try:
            tail = _follow(process, recorder, cells, code)
        except BaseException:
            _stop(process)
            raise
    if process.returncode not in (0, 1) and not recorder.failures:
        first = next(iter(registry.steps(module)))
        place = Place(module.name, first.id, first.title)
        failure = Failure(
            place, f"nbval ended with exit code {process.returncode}: {' / '.join(tail)[-300:]}"
        )
        recorder.failures.append(failure)
        listener.failure(failure)
    return recorder.outcome(None, time.monotonic() - started)


def command(root: Path, notebook: Path, workspace: Path) -> list[str]:
    """Return the pytest call that replays `notebook` by the course's rules; its ini file goes to `workspace`.

    The ini file keeps our own pytest settings out. Nothing is captured: the plugin's lines are read as they
    come.
    """
    ini = workspace / "pytest.ini"
    ini.write_text("[pytest]\n", encoding="utf-8")
    options = f"""
        -m pytest --nbval -p grader.rehearsal.nbval_plugin -p no:cacheprovider --nbval-current-env
        --nbval-cell-timeout={CELL_TIMEOUT} --nbval-kernel-startup-timeout={START_TIMEOUT}
        --capture=no --color=no -q --no-header --no-summary
    """
    files = [f"--nbval-sanitize-with={root / SANITIZE_FILE}", "-c", str(ini), str(notebook)]
    return [sys.executable, *options.split(), *files]


def _start(root: Path, notebook: Path, workspace: Path) -> subprocess.Popen[str]:
    env = {key: value for key, value in environment(workspace).items() if not key.startswith("PYTEST_")}
    package_root = str(Path(__file__).resolve().parents[2])
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [package_root, env.get("PYTHONPATH", "")]))
    return subprocess.Popen(
        command(root, notebook, workspace),
        cwd=workspace,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        # Ctrl-C reaches us alone; we pass it on once, so pytest can end its kernel undisturbed.
        start_new_session=True,
    )


def _follow(
    process: subprocess.Popen[str], recorder: Recorder, cells: list[NotebookNode], code: list[int]
) -> list[str]:
    tail: deque[str] = deque(maxlen=5)
    assert process.stdout is not None
    for line in process.stdout:
        if not line.startswith(EVENT):
            if line.strip():
                tail.append(line.strip())
            continue
        event: dict[str, Any] = json.loads(line.removeprefix(EVENT))
        index = code[event["cell"]]
        if "ok" not in event:
            recorder.begin(cells, index)
        else:
            problem = "" if event["ok"] else sentence(event["detail"])
            recorder.compared(cells, index, event["seconds"], problem, event["detail"])
    process.wait()
    return list(tail)


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def sentence(detail: str) -> str:
    """Boil nbval's account of a failed cell down to one sentence."""
    kind = re.search(r"mismatch '([^']+)'", detail)
    if kind:
        compared = re.search(r"failed:\n+\s*(.+)", detail)
        shown = compared.group(1).strip() if compared else ""
        return f"the {kind.group(1)} output differs from the committed one: {_short(shown)}"
    fields = re.search(r"(Missing|Unexpected) output fields from running code: \{(.+)\}", detail)
    if fields:
        return f"{fields.group(1).lower()} output of kind {fields.group(2)}"
    raised = re.findall(r"^(\w+(?:Error|Exception|Interrupt)\w*: .*)$", detail, flags=re.MULTILINE)
    if raised:
        return _short(raised[-1])
    lines = [line.strip() for line in detail.splitlines() if line.strip()]
    return _short(" ".join(lines[:3])) or "the cell failed"


def _short(text: str, limit: int = 300) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
