"""papermill runs an instructor notebook in its own workspace, with a seed, and reports as cells end."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from papermill.log import logger

from grader.course import paths
from grader.course.notebook import Place, read, role_of
from grader.rehearsal.outcome import Listener, Outcome, Recorder
from labs_lib import registry
from labs_lib.errors import LabsError
from labs_lib.registry import Module

CELL_TIMEOUT = 900  # seconds; a first cell may have to start Spark
START_TIMEOUT = 120  # seconds for a kernel to come up


class _Engine(NBClientEngine):
    """papermill's own engine, with the workspace as the kernel's folder, and a hook per cell."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
        client = PapermillNotebookClient(
            nb_man,
            kernel_name=kernel_name,
            log=logger,
            timeout=CELL_TIMEOUT,
            startup_timeout=START_TIMEOUT,
            on_cell_start=options["on_start"],
            on_cell_executed=options["on_done"],
            # It warns of plain TCP on the loopback interface for every kernel.
            extra_arguments=["--IPKernelApp.log_level=ERROR"],
        )
        return client.execute(env=environment(options["workspace"]), cwd=str(options["workspace"]))


papermill_engines.register("labs", _Engine)


@contextlib.contextmanager
def fresh_workspace() -> Iterator[Path]:
    """Give a new empty folder for LABS_WORKSPACE and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="labs-workspace-", ignore_cleanup_errors=True) as folder:
        yield Path(folder).resolve()


def environment(workspace: Path) -> dict[str, str]:
    """Return the environment of a kernel that works in `workspace` with this interpreter's packages."""
    return {**os.environ, "LABS_WORKSPACE": str(workspace), "JUPYTER_PREFER_ENV_PATH": "1"}


def run_solution(
    root: Path, module: Module, seed: int | None, workspace: Path, listener: Listener, demos: bool = True
) -> tuple[Outcome, NotebookNode | None]:
    """Run a module's instructor notebook and judge each check cell's verdict.

    `seed` replaces the notebook's own SEED; None leaves it. Without `demos` the lessons' cells that no exercise
    builds on are left out, as in grading. Returns the outcome and the executed notebook (None if it did not run
    to the end). A copy is left in build/runs/ for a look at what failed.
    Raises LabsError if there is no notebook to run.
    """
    path = paths.solution_file(root, module.name)
    if not path.is_file():
        raise LabsError(f"{path.relative_to(root)} does not exist; run `grader build {module.name}`.")
    notebook = read(path)
    notebook.cells = [cell for cell in notebook.cells if demos or role_of(cell).kind != "demo"]
    recorder = Recorder(module, "fresh seed", listener)
    copy = root / "build" / "runs" / f"{module.name}.ipynb"
    copy.parent.mkdir(parents=True, exist_ok=True)
    # The cells as papermill runs them: with a seed it inserts a cell, so its list is not the file's.
    state: dict[str, Any] = {"index": 0, "began": time.monotonic(), "cells": notebook.cells}
    started = time.monotonic()
    executed = None
    try:
        executed = papermill.execute_notebook(
            notebook,
            str(copy),
            parameters=None if seed is None else {"SEED": seed},
            engine_name="labs",
            language="python",
            progress_bar=False,
            request_save_on_cell_execute=False,
            workspace=workspace,
            **_hooks(recorder, state, injected=seed is not None),
        )
    except PapermillExecutionError as error:
        sentence = (
            f"{error.ename}: {str(error.evalue).strip().splitlines()[0] if error.evalue else 'no message'}"
        )
        recorder.fail(state["cells"], state["index"], sentence, "\n".join(error.traceback))
    except (CellTimeoutError, DeadKernelError) as error:
        recorder.fail(state["cells"], state["index"], str(error).splitlines()[0])
    return recorder.outcome(seed, time.monotonic() - started), executed


def _hooks(recorder: Recorder, state: dict[str, Any], injected: bool) -> dict[str, Callable[..., None]]:
    if injected:
        cells = list(state["cells"])
        after = next(n for n, cell in enumerate(cells, 1) if "parameters" in cell.metadata.get("tags", []))
        state["cells"] = [*cells[:after], cells[after - 1], *cells[after:]]

    def on_start(cell: NotebookNode, cell_index: int) -> None:
        state.update(index=cell_index, began=time.monotonic())
        state["cells"][cell_index] = cell
        recorder.begin(state["cells"], cell_index)

    def on_done(cell: NotebookNode, cell_index: int, execute_reply: dict[str, Any]) -> None:
        if execute_reply["content"]["status"] == "ok":
            recorder.executed(state["cells"], cell_index, time.monotonic() - state["began"])

    return {"on_start": on_start, "on_done": on_done}


def collect_digests(module: Module, workspace: Path) -> dict[str, dict[str, str]]:
    """Return {step: {answer: digest}} from the evidence a run left in `workspace`/<module>/evidence/<step>.json.

    Raises LabsError if a step that is compared left no digest for a compared answer.
    """
    found: dict[str, dict[str, str]] = {}
    for step in registry.steps(module):
        path = workspace / module.name / "evidence" / f"{step.id}.json"
        digests = json.loads(path.read_text(encoding="utf-8")).get("digests", {}) if path.is_file() else {}
        for name in step.compare:
            if name not in digests:
                raise LabsError(f"{Place(module.name, step.id, step.title)} left no digest of {name!r}.")
        if digests:
            found[step.id] = dict(sorted(digests.items()))
    return found
