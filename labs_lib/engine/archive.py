"""What a JVM learned at an earlier start, kept in a file: classes parsed and, from Java 25 on, methods profiled.

It halved the time to the first Delta commit on a cold server (DESIGN.md, section 3). Java 25 writes an AOT cache (JEP 483,
514, 515), older ones a class-data-sharing archive; that one has two layers, because `-XX:ArchiveClassesAtExit` needs a base
archive and not every runtime comes with one.
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

DUMP_TIMEOUT = 300  # seconds
AOT_CACHE = 25  # the Java that can make one, profiles included, in one run


def classpath() -> str:
    """The server's classpath, sorted, since an archive is valid for one order of one set of jars only."""
    spark = sorted(str(path) for path in jars.spark_jars().glob("*.jar"))
    delta = jars.folder().resolve()
    return os.pathsep.join([*spark, *(str(delta / jar.file_name) for jar in jars.pinned())])


def options(java: Java) -> list[str]:
    """JVM options that use the archive if there is one for this Java and these jars."""
    files = _files(java)
    if not all(file.exists() for file in files):
        return []
    flag = "AOTCache" if java.version >= AOT_CACHE else "SharedArchiveFile"
    return ["-Xlog:disable", f"-XX:{flag}={os.pathsep.join(map(str, files))}"]


def create(java: Java) -> bool:
    """Make the archive by a training run of the server, unless it is there; tells whether it is there afterwards.

    A Java that can't make one only costs speed, so this raises nothing of its own for that.
    """
    files = _files(java)
    folder = files[0].parent
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / ".lock"):
        if all(file.exists() for file in files):
            return True
        with tempfile.TemporaryDirectory(dir=folder) as name:
            scratch = Path(name)
            made = scratch / "archive"
            if java.version >= AOT_CACHE:
                _train(java, [f"-XX:AOTCacheOutput={made}"], scratch)
            else:
                dump = ["-Xshare:dump", *settings.JVM_OPTIONS, f"-XX:SharedArchiveFile={files[0]}"]
                subprocess.run([java.executable, *dump], capture_output=True, timeout=DUMP_TIMEOUT)
                if not files[0].exists():
                    return False
                _train(
                    java, [f"-XX:SharedArchiveFile={files[0]}", f"-XX:ArchiveClassesAtExit={made}"], scratch
                )
            if not made.exists():
                return False
            shutil.move(made, files[-1])
    return True


def _train(java: Java, options: list[str], scratch: Path) -> None:
    """Run a server with those options through the training workload, and wait until it has ended."""
    from labs_lib.engine import server

    port, token = server.free_port(), secrets.token_urlsafe(32)
    process = server.launch(
        java, port, server.free_port(), token, scratch / "server", ["-Xlog:disable", *options]
    )
    try:
        server.wait_until_up(process, port, scratch / "server")
        address = f"sc://localhost:{port}/;token={token}"
        training = [sys.executable, "-m", "labs_lib.engine.training", address, str(scratch / "tables")]
        subprocess.run(training, check=True, capture_output=True, timeout=DUMP_TIMEOUT)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=DUMP_TIMEOUT)
    finally:
        process.kill()


def _files(java: Java) -> list[Path]:
    """The files of the archive, the last one made last."""
    version = subprocess.run([java.executable, "-version"], capture_output=True, text=True).stderr
    key = hashlib.sha256(
        f"{java.executable}\n{version}\n{settings.JVM_OPTIONS}\n{classpath()}".encode()
    ).hexdigest()[:16]
    names = [f"{key}.aot"] if java.version >= AOT_CACHE else [f"{key}-base.jsa", f"{key}-top.jsa"]
    return [settings.home() / "cds" / name for name in names]
