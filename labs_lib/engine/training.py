"""Makes the class archive: a server is started once, put through the training workload, and writes down what it learned."""

from __future__ import annotations

import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import filelock

from labs_lib import settings
from labs_lib.engine import archive, keeper, server
from labs_lib.engine.java import Java

DUMP_TIMEOUT = 300  # seconds


def create(java: Java) -> bool:
    """Make the archive by a training run of the server, unless it is there; tells whether it is there afterwards.

    A Java that can't make one only costs speed, so this raises nothing of its own for that.
    """
    files = archive.files(java)
    folder = files[0].parent
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / ".lock"):
        if all(file.exists() for file in files):
            return True
        with tempfile.TemporaryDirectory(dir=folder) as name:
            scratch = Path(name)
            made = scratch / "archive"
            if java.version >= archive.AOT_CACHE:
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
    port, token = keeper.free_port(), secrets.token_urlsafe(32)
    process = server.launch(
        java, port, keeper.free_port(), token, scratch / "server", ["-Xlog:disable", *options]
    )
    try:
        server.wait_until_up(process, port, scratch / "server")
        address = f"sc://localhost:{port}/;token={token}"
        training = [sys.executable, "-m", "labs_lib.engine.workload", address, str(scratch / "tables")]
        subprocess.run(training, check=True, capture_output=True, timeout=DUMP_TIMEOUT)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=DUMP_TIMEOUT)
    finally:
        process.kill()
