"""The door's own JVM: Spark with the parser's own interface, for this process alone.

Not the course's server: there learners' code runs, and whoever reaches its JVM by py4j reaches every table. This one starts on the first
statement, listens on loopback behind a secret that its own process made, has no Connect, no UI, and no code of anybody's. It ends with
the process that started it, however that ends: its standard input closes. Tables are Delta files, which both read.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import struct
import subprocess
import threading
import time
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from labs_lib import settings
from labs_lib.errors import LabsError
from labs_lib.workspace.sql.model import Failed

HEAP = "768m"  # beside the course's server with its three gigabytes
GATEWAY = "org.apache.spark.api.python.PythonGatewayServer"
CONF = {
    **{name: value for name, value in settings.SPARK_CONF.items() if not name.startswith(("spark.connect.", "spark.ui.", "spark.sql.ui."))},
    "spark.app.name": "door",
    "spark.ui.enabled": "false",
    "spark.sql.codegen.cache.maxEntries": "1000",
    # What the guard refuses stays closed if the guard is fooled.
    "spark.sql.variable.substitute": "false",
    "spark.sql.runSQLOnFiles": "false",
}  # fmt: skip


@dataclass(frozen=True)
class Result:
    """Rows as strings, and the fields of Spark's JSON schema."""

    fields: list[dict[str, Any]]
    rows: list[list[str | None]]


class Jvm:
    """A running one. Each thread has a session of its own; statements keep nothing in it."""

    def __init__(self, scratch: Path) -> None:
        """Start it. `scratch` gets its log and temporary files. Raises LabsError if it doesn't come up."""
        from py4j.java_gateway import GatewayParameters, JavaGateway

        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True, mode=0o700)
        self.process = _launch(scratch)
        try:
            port, secret = _connection(self.process, scratch)
            self._gateway = JavaGateway(gateway_parameters=GatewayParameters(port=port, auth_token=secret))
            self._spark = self._gateway.jvm.org.apache.spark.sql.SparkSession.builder().getOrCreate()
            self._door = self._compiled()
        except BaseException:
            self.process.kill()
            raise
        self._sessions = threading.local()

    def stop(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            self._gateway.close(close_callback_server_connections=False)
        if self.process.stdin:
            self.process.stdin.close()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def parse(self, text: str) -> dict[str, Any]:
        """The unresolved plan of a statement, as Door.java writes it. Raises Failed."""
        return json.loads(self._call("read", self._call("parse", self._session, text)))

    def analyse(self, text: str) -> tuple[Any, dict[str, Any]]:
        """The analysed plan, to be run as it is, and as Door.java writes it. Raises Failed."""
        plan = self._call("analyse", self._session, self._call("parse", self._session, text))
        return plan, json.loads(self._call("read", plan))

    def schema(self, plan: Any) -> list[dict[str, Any]]:
        """The fields of an analysed plan's rows, as Spark's JSON schema has them."""
        return json.loads(self._call("schema", plan))["fields"]

    def columns(self, text: str) -> list[dict[str, Any]]:
        """The fields that `name type, ...` declares. Raises Failed."""
        return json.loads(self._call("columns", text))["fields"] if text.strip() else []

    def run(self, plan: Any, group: str, limit: int) -> Result:
        """Run a plan and take at most so many rows. Raises Failed."""
        answer = json.loads(self._call("run", self._session, plan, group, limit, running=True))
        return Result(answer["schema"]["fields"], answer["rows"])

    def sql(self, text: str) -> None:
        """Run a statement of the door's own, which reads no rows."""
        self._call("run", self._session, self._call("parse", self._session, text), "door", 0)

    def cancel(self, group: str) -> None:
        """End the jobs of a statement that runs, and those that it has yet to begin."""
        self._spark.sparkContext().cancelJobGroupAndFutureJobs(group)

    @property
    def _session(self) -> Any:
        if not hasattr(self._sessions, "session"):
            self._sessions.session = self._spark.newSession()
        return self._sessions.session

    def _compiled(self) -> Any:
        compiler = self._gateway.jvm.org.codehaus.janino.SimpleCompiler()
        compiler.cook((resources.files("labs_lib.workspace.sql") / "Door.java").read_text())
        # py4j reaches classes of Spark's own class loader only by their names; an object of this one is enough.
        return compiler.getClassLoader().loadClass("Door").getDeclaredConstructor(None).newInstance(None)

    def _call(self, name: str, *arguments: Any, running: bool = False) -> Any:
        from py4j.protocol import Py4JError, Py4JJavaError

        try:
            return getattr(self._door, name)(*arguments)
        except Py4JJavaError as error:
            raise _failed(error.java_exception, running) from None
        except (Py4JError, OSError) as error:
            raise Failed(f"The door's JVM does not answer: {type(error).__name__}.") from None


def _failed(error: Any, running: bool) -> Failed:
    """The sentence of the innermost error that Spark has a class for, without the parts that show the statement and the place in it."""
    found, name = error, ""
    while error is not None:
        with contextlib.suppress(Exception):
            if kind := error.getCondition():
                found, name = error, kind
        error = error.getCause()
    text = str(found.getMessage() or found.getClass().getSimpleName())
    return Failed(
        text.split("\n\n== SQL")[0].split("\n== SQL")[0].split(" SQLSTATE:")[0].strip()[:2000], name, running
    )


def _launch(scratch: Path) -> subprocess.Popen[bytes]:
    # Late: these look for Spark's jars by importing pyspark, which a workspace without a statement does without.
    from labs_lib.engine import archive, jars
    from labs_lib.engine.java import MODULE_OPTIONS, find
    from labs_lib.engine.server import ENCODING, LOG4J

    java = find()
    jars.resolve(java)
    (scratch / "log4j2.properties").write_text(LOG4J)
    conf = CONF | {"spark.local.dir": str(scratch), "spark.sql.warehouse.dir": str(scratch / "warehouse")}
    command = [
        str(java.executable),
        f"-Xmx{HEAP}",
        *settings.JVM_OPTIONS,
        *archive.options(java),
        *MODULE_OPTIONS,
        *ENCODING,
        f"-Djava.io.tmpdir={scratch}",
        f"-Dlog4j2.configurationFile={scratch / 'log4j2.properties'}",
        *(f"-D{name}={value}" for name, value in conf.items()),
        *("-cp", archive.classpath(), GATEWAY),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SPARK_")} | {
        "SPARK_HOME": str(jars.spark_jars().parent),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "_PYSPARK_DRIVER_CONN_INFO_PATH": str(scratch / "connection"),
        "LC_ALL": "C.UTF-8",
    }
    with (scratch / "door.log").open("wb") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=scratch,
            env=environment,
            start_new_session=True,
        )


def _connection(process: subprocess.Popen[bytes], scratch: Path) -> tuple[int, str]:
    """Port and secret, which the gateway writes into a file when it listens (PythonGatewayServer); the file is gone afterwards."""
    path = scratch / "connection"
    deadline = time.monotonic() + settings.START_TIMEOUT
    while not path.exists():
        if process.poll() is not None:
            from labs_lib.engine.server import explain_failure

            raise LabsError(explain_failure((scratch / "door.log").read_text(errors="replace"), scratch))
        if time.monotonic() > deadline:
            raise LabsError(
                f"The door's JVM did not answer within {settings.START_TIMEOUT:.0f} s; its log is {scratch / 'door.log'}."
            )
        time.sleep(0.02)
    data = path.read_bytes()
    path.unlink()
    port, length = struct.unpack(">ii", data[:8])
    return port, data[8 : 8 + length].decode()
