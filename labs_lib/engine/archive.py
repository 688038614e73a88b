"""What a JVM learned at an earlier start, kept in a file: classes parsed and, from Java 25 on, methods profiled.

It halved the time to the first Delta commit on a cold server (DESIGN.md, section 3). Java 25 writes an AOT cache (JEP 483,
514, 515), older ones a class-data-sharing archive; that one has two layers, because `-XX:ArchiveClassesAtExit` needs a base
archive and not every runtime comes with one.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

from labs_lib import settings
from labs_lib.engine import jars
from labs_lib.engine.java import Java

AOT_CACHE = 25  # the Java that can make one, profiles included, in one run


def classpath() -> str:
    """The server's classpath, sorted, since an archive is valid for one order of one set of jars only."""
    spark = sorted(str(path) for path in jars.spark_jars().glob("*.jar"))
    delta = jars.folder().resolve()
    return os.pathsep.join([*spark, *(str(delta / jar.file_name) for jar in jars.pinned())])


def options(java: Java) -> list[str]:
    """JVM options that use the archive if there is one for this Java and these jars."""
    made = files(java)
    if not all(file.exists() for file in made):
        return []
    flag = "AOTCache" if java.version >= AOT_CACHE else "SharedArchiveFile"
    return ["-Xlog:disable", f"-XX:{flag}={os.pathsep.join(map(str, made))}"]


def files(java: Java) -> list[Path]:
    """The files of the archive, the last one made last."""
    version = subprocess.run([java.executable, "-version"], capture_output=True, text=True).stderr
    key = hashlib.sha256(
        f"{java.executable}\n{version}\n{settings.JVM_OPTIONS}\n{classpath()}".encode()
    ).hexdigest()[:16]
    names = [f"{key}.aot"] if java.version >= AOT_CACHE else [f"{key}-base.jsa", f"{key}-top.jsa"]
    return [settings.home() / "cds" / name for name in names]
