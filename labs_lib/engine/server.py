"""The local Spark Connect server: one per user and LABS_HOME, loopback only, behind a token; `keeper` keeps it."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from labs_lib import settings
from labs_lib.engine import archive, jars, keeper
from labs_lib.engine.java import MODULE_OPTIONS, Java, find
from labs_lib.errors import LabsError

SERVER_CLASS = "org.apache.spark.sql.connect.service.SparkConnectServer"

# Texts and paths are UTF-8, whatever locale the notebook's process has.
ENCODING = ("-Dfile.encoding=UTF-8", "-Dsun.jnu.encoding=UTF-8", "-Dstdout.encoding=UTF-8")

# Root logger at ERROR; the rest is Spark's own console layout.
LOG4J = """\
rootLogger.level = error
rootLogger.appenderRef.stdout.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yy/MM/dd HH:mm:ss} %p %c{1}: %m%n%ex
"""


@dataclass(frozen=True)
class Server(keeper.Kept):
    """A running server."""

    ui_port: int
    token: str
    java: str
    java_version: int
    started: str

    @property
    def remote(self) -> str:
        """Spark Connect address. `localhost` by name: the client takes a token without TLS only there."""
        return f"sc://localhost:{self.port}/;token={self.token}"

    @property
    def ui(self) -> str:
        return f"http://127.0.0.1:{self.ui_port}"


def folder() -> Path:
    """Folder of the server's state, log and scratch files."""
    return settings.home() / "server"


def recorded() -> Server | None:
    """The server that the state file names, alive or not."""
    return keeper.recorded(folder(), Server)


def running() -> Server | None:
    """The server, if it runs."""
    return keeper.running(folder(), Server)


def ensure() -> Server:
    """The server, started if it does not run. Raises LabsError with a sentence if it can't be."""
    return keeper.ensure(folder(), Server, _start, settings.START_TIMEOUT, _watch_over)


def stop(reason: str = "command") -> bool:
    """Stop the server if there is one, noting why; tells whether there was."""
    return keeper.stop(folder(), Server, reason, settings.START_TIMEOUT)


def why_stopped() -> str:
    """Why the last server is gone: `command`, `idle`, or `killed` when nobody says."""
    return keeper.why_stopped(folder())


def launch(
    java: Java, port: int, ui_port: int, token: str, scratch: Path, options: list[str]
) -> subprocess.Popen[bytes]:
    """Start the server's JVM without waiting for it.

    `scratch` gets its log and temporary files; `options` are further JVM options. The classpath holds the Delta jars
    beside Spark's own, rather than `spark.jars`, because a class archive covers only the application's classpath.
    """
    temporary = scratch / "tmp"
    temporary.mkdir(parents=True, exist_ok=True, mode=0o700)
    log4j = scratch / "log4j2.properties"
    log4j.write_text(LOG4J)
    conf = settings.SPARK_CONF | {
        "spark.connect.grpc.binding.port": str(port),
        "spark.ui.port": str(ui_port),
        "spark.local.dir": str(temporary),
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
    }
    command = [
        str(java.executable),
        f"-Xmx{settings.heap()}",
        # All of it from the start: a heap that grows begins with a small young generation, and fills the old one with what would have died.
        # Of the JVM's CPU in module 2's runs, the collector took 4 % instead of 6.6.
        f"-Xms{settings.heap()}",
        *settings.JVM_OPTIONS,
        *options,
        *MODULE_OPTIONS,
        *ENCODING,
        f"-Djava.io.tmpdir={temporary}",
        f"-Dlog4j2.configurationFile={log4j}",
        *("-cp", archive.classpath()),
        "org.apache.spark.deploy.SparkSubmit",
        *(part for key, value in conf.items() for part in ("--conf", f"{key}={value}")),
        *("--class", SERVER_CLASS, "spark-internal"),
    ]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SPARK_")} | {
        "SPARK_HOME": str(jars.spark_jars().parent),
        "SPARK_LOCAL_IP": "127.0.0.1",  # the UI binds here too
        "SPARK_CONNECT_AUTHENTICATE_TOKEN": token,
        # UDFs and foreachBatch run in the course's interpreter, or they fail for want of its packages.
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        # The JVM takes the letters that a path may have from this; under LC_ALL=C it would see only ASCII.
        "LC_ALL": "C.UTF-8",
    }
    return keeper.launch(command, scratch, environment)


def wait_until_up(process: subprocess.Popen[bytes], port: int, scratch: Path) -> None:
    """Return when the server accepts connections. Raises LabsError if it ends or does not come up in time."""
    log = scratch / "server.log"
    keeper.wait_until_up(
        process,
        port,
        settings.START_TIMEOUT,
        0.1,
        ended=lambda: explain_failure(log.read_text(errors="replace"), scratch),
        silent=lambda: (
            f"The Spark server did not answer within {settings.START_TIMEOUT:.0f} s; its log is {log}. "
            "Close other programs and try again; `labs doctor` tells what this machine has."
        ),
    )


def explain_failure(log: str, scratch: Path) -> str:
    """One sentence for a server that ended while starting, from its log."""
    if "Address already in use" in log or "BindException" in log:
        return (
            "The Spark server's port was taken by another program; set LABS_PORT to a free port, or unset it."
        )
    if "No space left on device" in log:
        return f"The disk that holds {scratch} is full; free some space there or point LABS_HOME at another disk."
    if (
        "Could not reserve enough space" in log
        or "OutOfMemoryError" in log
        or "Cannot allocate memory" in log
    ):
        return "There is too little memory for the Spark server; close other programs or set LABS_HEAP to less, such as 2g."
    if "UnsupportedClassVersionError" in log:
        return f"This Java is too old for Spark; unset JAVA_HOME or install Java {settings.MINIMUM_JAVA} or newer."
    last = next((line.strip() for line in reversed(log.splitlines()) if line.strip()), "nothing")
    return (
        f"The Spark server ended while starting; the last line of {scratch / 'server.log'} is: {last[:200]}"
    )


def check_machine() -> None:
    """Raise LabsError if there is too little memory or disk to start a server."""
    available = psutil.virtual_memory().available
    if available < settings.MINIMUM_MEMORY:
        raise LabsError(
            f"Only {available / 2**30:.1f} GiB of memory is free and the Spark server needs "
            f"{settings.MINIMUM_MEMORY / 2**30:.0f}; close other programs and try again."
        )
    free = shutil.disk_usage(settings.home()).free
    if free < settings.MINIMUM_DISK:
        raise LabsError(
            f"Only {free / 2**30:.1f} GiB is free on the disk that holds {settings.home()} and Spark needs "
            f"{settings.MINIMUM_DISK / 2**30:.0f}; free some space or point LABS_HOME at another disk."
        )


def _start() -> Server:
    check_machine()
    wanted = settings.port()
    if wanted and keeper.accepts(wanted):
        raise LabsError(
            f"Port {wanted} (LABS_PORT) is taken by another program; set it to a free port, or unset it."
        )
    java = find()
    jars.resolve(java)
    port, ui_port, token = wanted or keeper.free_port(), keeper.free_port(), secrets.token_urlsafe(32)
    shutil.rmtree(folder() / "tmp", ignore_errors=True)
    process = launch(java, port, ui_port, token, folder(), archive.options(java))
    try:
        wait_until_up(process, port, folder())
    except BaseException:
        process.kill()
        raise
    return Server(
        pid=process.pid,
        created=keeper.created(process.pid),
        port=port,
        ui_port=ui_port,
        token=token,
        java=str(java.executable),
        java_version=java.version,
        started=time.strftime("%Y-%m-%d %H:%M:%S"),
    )


def _watch_over() -> None:
    """Have a process of its own stop the server when nobody uses it any more."""
    subprocess.Popen(
        [sys.executable, "-m", "labs_lib.engine.idle"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
