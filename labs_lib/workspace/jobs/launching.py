"""From a task that is due to the command that runs it: files laid out, parameters resolved, an environment with its principal's token alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from labs_lib.workspace import files, identity
from labs_lib.workspace.files import notebooks, rules
from labs_lib.workspace.ground import store
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.ground.errors import InvalidParameter
from labs_lib.workspace.identity import tokens
from labs_lib.workspace.jobs import flow, pipelines, references
from labs_lib.workspace.tasks.clock import FOLDER

# What of the service's own environment a task gets: nothing that may hold a credential.
PASSED = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "VIRTUAL_ENV",
    "JAVA_HOME",
    "SSL_CERT_FILE",
]
_SPARK = re.compile(r"spark|\bdelta\b|%sql|^-- Databricks notebook", re.IGNORECASE)
_IMPORT = re.compile(r"^\s*(?:from|import)\s+([\w.]+)", re.MULTILINE)


@dataclass(frozen=True)
class Launch:
    """A process that is to be started. `timeout` is in seconds of real time, 0 for none; `of_run` says that it is the whole run's."""

    attempt_id: int
    folder: Path
    mark: str
    command: tuple[str, ...]
    cwd: Path
    environment: dict[str, str]
    timeout: float
    of_run: bool
    spark: bool


def folder_of(home: Path, attempt_id: int) -> Path:
    """Where a task's files, log and outcome are."""
    return home / "runs" / str(attempt_id)


def mark_of(ctx: Context, attempt_id: int) -> str:
    """What the processes of a task are known by."""
    return f"{store.setting(ctx.db, 'workspace_id')}-{attempt_id}"


def launch(ctx: Context, attempt: sqlite3.Row) -> Launch:
    """Prepare the process of an attempt, in the name of whom the run runs as.

    Raises WorkspaceError if a file is missing, that principal may not read it or is gone, or a reference has no value.
    """
    run = flow.row(ctx, attempt["run_id"])
    settings = flow.settings_of(run)
    task = settings.task(attempt["task_key"])
    as_ctx = replace(ctx, caller=identity.as_user(ctx, run["run_as"]))
    told = references.resolve(getattr(task, task.kind).model_dump(), flow.names(ctx, run, attempt))
    given = json.loads(run["overrides"])
    parameters = json.loads(run["parameters"])
    folder = folder_of(ctx.home, attempt["id"])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    python = (sys.executable, "-u")
    child = (*python, "-m", "labs_lib.workspace.tasks.child")
    command: tuple[str, ...]
    spec: dict[str, Any] = {}
    cwd, spark = folder, False
    if task.kind == "spark_python_task":
        main = files.read(as_ctx, told["python_file"])
        cwd, around = _lay_out(as_ctx, folder, main)
        arguments = given.get("python_params") or told["parameters"]
        command = (*python, str(cwd / Path(main.path).name), *arguments)
        spark = wants_spark(main, around)
    elif task.kind == "notebook_task":
        main = files.read(as_ctx, told["notebook_path"])
        if main.kind != "NOTEBOOK" or main.language not in ("PYTHON", "SQL"):
            raise InvalidParameter(f"{main.path} is no notebook in Python or SQL.")
        cwd, around = _lay_out(as_ctx, folder, main)
        (folder / "input.ipynb").write_bytes(_runnable(main))
        spec = {"parameters": told["base_parameters"] | given.get("notebook_params", {}) | parameters}
        spark = wants_spark(main, around) or main.language == "SQL"
        command = (*child, "notebook")
    elif task.kind == "sql_task":
        main = files.read(as_ctx, told["file"]["path"], "CAN_READ")
        text = notebooks.text(main.content)
        spec = {"text": text, "warehouse_id": told["warehouse_id"]}
        spec["parameters"] = told["parameters"] | parameters
        command = (*child, "sql")
    else:
        command = pipelines.command(as_ctx, folder, told["pipeline_id"], told["full_refresh"])
        spark = True
    values = {r["task_key"]: json.loads(r["task_values"]) for r in flow.latest(ctx, run["id"])}
    (folder / "task.json").write_text(
        json.dumps({"parameters": {}, "values": values, "cwd": str(cwd)} | spec)
    )
    environment = (
        {name: os.environ[name] for name in PASSED if name in os.environ}
        | {
            "DATABRICKS_HOST": ctx.services.address,
            "DATABRICKS_TOKEN": tokens.make(
                ctx, identity.known(ctx, run["run_as"]), _comment(attempt["id"]), None
            )[0],
            "DATABRICKS_CONFIG_FILE": os.devnull,  # what the user has set up for real workspaces is none of this one's
            "PYTHONDONTWRITEBYTECODE": "1",
            FOLDER: str(folder),
        }
    )
    store.update(ctx.db, "attempts", attempt["id"], resolved=json.dumps(told))
    left = max(1.0, (run["timeout_at"] - ctx.now) / 1000) if run["timeout_at"] else 0.0
    own = float(task.timeout_seconds)
    of_run = bool(left) and (not own or left < own)
    mark, limit = mark_of(ctx, attempt["id"]), left if of_run else own
    return Launch(attempt["id"], folder, mark, command, cwd, environment, limit, of_run, spark)


def wants_spark(main: rules.Item, around: Sequence[rules.Item]) -> bool:
    """Whether a file speaks of Spark, or a module beside it that it imports does. Who needs none is told no Spark token."""
    seen: set[str] = set()
    todo = [main]
    while todo:
        item = todo.pop()
        seen.add(item.path)
        text = item.content.decode(errors="replace")
        if _SPARK.search(text):
            return True
        names = {part for name in _IMPORT.findall(text) for part in name.split(".")}
        todo += [
            other
            for other in around
            if other.path not in seen
            and other.path.endswith(".py")
            and names & set(Path(other.path).with_suffix("").parts)
        ]
    return False


def _lay_out(ctx: Context, folder: Path, main: rules.Item) -> tuple[Path, list[rules.Item]]:
    """Write the files around a file as the principal may read them: the project's, from the third folder of the path on."""
    parts = main.path.split("/")
    root = "/".join(parts[: min(4, len(parts) - 1)]) or "/"
    around = files.below(ctx, root)
    for item in [*around, main]:
        suffix = ""
        if item.kind == "NOTEBOOK" and "." not in Path(item.path).name:
            suffix = next(e for e, language in rules.EXTENSIONS.items() if language == item.language)
        target = folder / "files" / (item.path.lstrip("/") + suffix)
        target.parent.mkdir(parents=True, exist_ok=True)
        source = item.kind == "FILE" or item.format == "SOURCE"
        target.write_bytes(item.content if source else rules.exported(item, "SOURCE")[0])
    return (folder / "files" / main.path.lstrip("/")).parent, around


def _runnable(main: rules.Item) -> bytes:
    """A notebook as Jupyter runs it; each cell of one in SQL is a cell of the magic for SQL."""
    language = main.language or "PYTHON"
    notebook = json.loads(notebooks.as_jupyter(main.content, main.format, language))
    for cell in notebook["cells"]:
        cell["source"] = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
        if cell["cell_type"] == "code" and language == "SQL" and not cell["source"].startswith("%"):
            cell["source"] = f"%sql\n{cell['source']}"
        cell.setdefault("metadata", {})
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    return json.dumps(notebook).encode()


def revoke(ctx: Context, attempt_id: int) -> None:
    """Take back the token of a task that has ended."""
    ctx.db.execute(
        "DELETE FROM tokens WHERE made_by = 'System-User' AND comment = ?", (_comment(attempt_id),)
    )


def _comment(attempt_id: int) -> str:
    return f"job task run {attempt_id}"
