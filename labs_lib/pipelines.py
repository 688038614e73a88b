"""Runs a Spark declarative pipeline on the course's own server.

The command is pyspark's `spark-pipelines`, called as a module: its launcher script would first start a JVM that it does not
need when a server is there already.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from labs_lib import settings
from labs_lib.arguments import checked, plain_name
from labs_lib.engine import session
from labs_lib.errors import LabsError
from labs_lib.lab import Lab

TIMEOUT = 300  # seconds


@dataclass(frozen=True)
class PipelineRun:
    """A finished pipeline run: the lines that the command printed, and the flows that completed."""

    events: tuple[str, ...]

    @property
    def completed(self) -> tuple[str, ...]:
        """Names of the flows that completed, in order, without catalog and database."""
        flows = (re.search(r"Flow '?([\w.`]+)'? has COMPLETED", line) for line in self.events)
        return tuple(match[1].replace("`", "").rsplit(".", 1)[-1] for match in flows if match)

    def __str__(self) -> str:
        return "\n".join(self.events)


@dataclass(frozen=True)
class Pipeline:
    """A declarative pipeline on disk: its spec and its one Python file."""

    spec: Path
    file: Path


@checked
def write_pipeline(lab: Lab, name: str, source: str) -> Pipeline:
    """Write a pipeline of one Python file, with a spec whose database is the lab's, below the lab's folder.

    A pipeline of that name that was there is replaced. Raises LabsError if the name is no plain word or the source is no Python.
    """
    plain_name("A pipeline", name)
    try:
        ast.parse(source)
    except SyntaxError as error:
        raise LabsError(
            f"The pipeline's source is no valid Python: {error.msg} in line {error.lineno}."
        ) from None
    folder = lab.folder / "pipelines" / name
    folder.mkdir(parents=True, exist_ok=True)
    pipeline = Pipeline(folder / "spark-pipeline.yml", folder / f"{name}.py")
    pipeline.file.write_text(source.lstrip("\n"))
    # Not as_uri(): Spark takes the text as a path, and would keep a %20 in it.
    storage = json.dumps(f"file://{folder / 'storage'}")
    pipeline.spec.write_text(
        f"name: {name}\nstorage: {storage}\ndatabase: {lab.database}\n"
        f"libraries:\n  - glob:\n      include: {pipeline.file.name}\n"
    )
    return pipeline


@checked
def run_pipeline(spec: str | Path | Pipeline, full_refresh: bool = False) -> PipelineRun:
    """Run the pipeline that a spec file (`spark-pipeline.yml`) describes, or that was written, and wait for its end.

    Raises LabsError with the command's own error if the spec is missing or the run fails.
    """
    path = Path(spec.spec if isinstance(spec, Pipeline) else spec).absolute()
    if not path.is_file():
        raise LabsError(f"There is no pipeline spec at {path}; write one there first.")
    connection = session.connection()
    address = connection.server.remote if connection.server else settings.remote()
    command = [sys.executable, "-m", "pyspark.pipelines.cli", "run", "--spec", str(path)]
    if full_refresh:
        command.append("--full-refresh-all")
    environment = {**os.environ, "SPARK_REMOTE": str(address), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        run = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            cwd=path.parent,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LabsError(
            f"The pipeline did not end within {TIMEOUT} s; run it in a terminal to see where it stands."
        ) from None
    output = (run.stdout + run.stderr).splitlines()
    if run.returncode:
        raise LabsError(f"The pipeline failed: {_reason(output)}")
    return PipelineRun(tuple(line.split(": ", 1)[-1] for line in output if line.strip()))


def _reason(output: list[str]) -> str:
    """The line of the output that says what went wrong: the last exception's message, or a failed flow's."""
    telling = [line.strip() for line in output if re.search(r"(Error|Exception|FAILED|\[[A-Z_]{6,})", line)]
    return (telling[-1] if telling else (output[-1] if output else "it said nothing"))[:400]
