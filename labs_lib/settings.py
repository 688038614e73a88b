"""Every setting of the course in one place: folders, limits, Spark's configuration.

Environment variables, read when they are needed (so a test or the grader can set them per process):

LABS_HOME           cache of jars, data, class archive and the server's state
LABS_WORKSPACE      where a learner's tables, evidence and progress live
LABS_EXPECTED       folder of expected digests, `<module>.json`; the grader points it at a fresh run's
LABS_CAPTURE        1: check() keeps a step's evidence and leaves the judging to the grader
LABS_SCALE          course tables in this share of their usual size, such as 0.1: quick trials, whose effects are small too
LABS_PORT           port of the local server; any free one when unset
LABS_IDLE_MINUTES   the server stops after so long without a client, a workspace after so long without a call
LABS_HEAP           heap of the server's JVM, in Java's notation (`3g`)
LABS_SPARK_UI       address of the Spark UI when SPARK_REMOTE names a cluster
SPARK_REMOTE        a Spark Connect address; when set no local server is started
DATABRICKS_HOST     with DATABRICKS_TOKEN: a workspace; when both are set no local one is started
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from labs_lib.errors import LabsError

MINIMUM_JAVA = 17
MINIMUM_MEMORY = 3 * 2**30  # bytes free for server, kernel and page cache together
MINIMUM_DISK = 2 * 2**30  # bytes free for shuffle files and tables
START_TIMEOUT = 180.0  # seconds; a cold start takes about 5 on two cores, more on a busy machine

# The serial collector starts fastest on few cores. All compiler tiers stay on: stopping at the first saves under a second at the
# start, and long statements then take up to two and a half times as long (liquid clustering of 1.5 M rows: 28 s against 11 s).
# The last tier begins at five times its usual counts: what a module calls less often is not worth its CPU, which on two cores is a
# tenth of the whole, and loops over rows pass these counts at once.
JVM_OPTIONS = (
    "-XX:+UseSerialGC",
    "-XX:Tier4InvocationThreshold=25000",
    "-XX:Tier4MinInvocationThreshold=3000",
    "-XX:Tier4CompileThreshold=75000",
    "-XX:Tier4BackEdgeThreshold=200000",
)

# Measured on two cores (DESIGN.md, section 3): the defaults are made for clusters with hundreds of cores.
SPARK_CONF: dict[str, str] = {
    "spark.master": "local[*]",
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.sources.default": "delta",  # as on Databricks: a table without USING is a Delta table
    "spark.sql.shuffle.partitions": "4",
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "4",
    # Code that was generated for a query is compiled once as long as it is kept; the default, 1,000 classes, is less than a module needs.
    # JVM CPU of module 2, fresh run and replay: 466 s for 500.
    "spark.sql.codegen.cache.maxEntries": "20000",
    # Delta's actions have more than 100 fields, nested ones counted: over that limit each task generates its code anew, instead of the
    # query once. JVM CPU of a round of small statements on a warm server: 20.0 s for 21.7.
    "spark.sql.codegen.maxFields": "2000",
    # The default renames by way of Hadoop's FileContext, which starts four `readlink` processes for each file of a checkpoint: 2,400 of
    # the 4,778 processes that module 2's two runs started.
    "spark.sql.streaming.checkpointFileManagerClass": "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.connect.serverStacktrace.enabled": "false",  # an error is its sentence, not forty lines of Scala
    "spark.ui.showConsoleProgress": "false",
    # A module makes about 700 jobs; a check looks up a run that may be some modules back. Ten megabytes of heap.
    "spark.ui.retainedJobs": "4000",
    "spark.ui.retainedStages": "8000",
    "spark.sql.ui.retainedExecutions": "4000",
    "spark.sql.streaming.numRecentProgressUpdates": "10000",  # a run's figures are read at its end; it may have many batches
    "spark.log.level": "ERROR",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.connect.grpc.binding.address": "127.0.0.1",
    # A closed laptop keeps its session for as long as the server lives.
    "spark.connect.session.manager.defaultSessionTimeout": "12h",
}


def home() -> Path:
    """Folder of everything that can be made again: jars, data, class archive, server state.

    Raises LabsError if it can't be made or written.
    """
    return usable(
        Path(os.environ.get("LABS_HOME") or platformdirs.user_cache_dir("data-engineering-labs")), "LABS_HOME"
    )


def workspace() -> Path:
    """Folder of the learner's own tables, evidence and progress; `.labs` here unless LABS_WORKSPACE is set."""
    return Path(os.environ.get("LABS_WORKSPACE") or Path.cwd() / ".labs").absolute()


def expected() -> Path | None:
    """Folder of expected digests that LABS_EXPECTED names, or None for the committed ones of seed 0."""
    value = os.environ.get("LABS_EXPECTED")
    return Path(value) if value else None


def scale() -> float:
    """The share of their usual size in which course tables are loaded. Raises LabsError if LABS_SCALE is no such number."""
    text = os.environ.get("LABS_SCALE") or "1"
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 100:
        raise LabsError(f"LABS_SCALE is {text!r}; it should be a number above 0, such as 0.1.")
    return value


def captures_only() -> bool:
    """Whether check() only captures evidence, as it does in the grader's sandbox."""
    return os.environ.get("LABS_CAPTURE") == "1"


def remote() -> str | None:
    """The Spark Connect address in SPARK_REMOTE, or None when the local server is to be used."""
    return os.environ.get("SPARK_REMOTE") or None


def spark_ui() -> str | None:
    """Address of the Spark UI that goes with SPARK_REMOTE, or None."""
    return os.environ.get("LABS_SPARK_UI") or None


def port() -> int | None:
    """The port that LABS_PORT asks for, or None for any free one. Raises LabsError if it is no port."""
    return _number("LABS_PORT", 1, 65535)


def idle_minutes() -> int:
    """Minutes without a client after which the server stops. Raises LabsError if LABS_IDLE_MINUTES is off."""
    return _number("LABS_IDLE_MINUTES", 1, 7 * 24 * 60) or 30


def heap() -> str:
    """Heap of the server's JVM in Java's notation."""
    return os.environ.get("LABS_HEAP") or "3g"


def usable(folder: Path, variable: str) -> Path:
    """That folder, made if it was not there. Raises LabsError, which names the environment variable, if it can't be made or written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = "a file is in its place" if isinstance(error, FileExistsError | NotADirectoryError) else ""
        raise _unusable(folder, variable, problem or error.strerror or str(error)) from None
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise _unusable(folder, variable, "you may not write there")
    return folder


def _unusable(folder: Path, variable: str, problem: str) -> LabsError:
    return LabsError(
        f"The folder {folder} can't be used ({problem}); let {variable} name a folder that you can write."
    )


def _number(name: str, low: int, high: int) -> int | None:
    value = os.environ.get(name)
    if not value:
        return None
    if not value.isdecimal() or not low <= int(value) <= high:
        raise LabsError(f"{name} is {value!r}; set it to a whole number from {low} to {high}, or unset it.")
    return int(value)
