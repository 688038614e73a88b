"""The Delta jars: resolved once with the Ivy that pyspark carries, checked, kept.

Ivy is what `spark.jars.packages` uses; it is called by itself because a Spark start would cost ten times as much.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import warnings
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import filelock
import pyspark

from labs_lib import settings
from labs_lib.engine.java import Java
from labs_lib.errors import LabsError

RESOLVE_TIMEOUT = 300  # seconds
TRUSTSTORE_PASSWORD = "changeit"  # Java's customary one: the store holds public certificates only


@dataclass(frozen=True)
class Jar:
    """A Maven artifact and its pinned SHA-256."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def pinned() -> tuple[Jar, ...]:
    """The jars that the course needs, from jars.sha256 (`<sha256>  <group>:<artifact>:<version>` a line)."""
    lines = (resources.files("labs_lib.engine") / "jars.sha256").read_text().splitlines()
    pairs = (line.split() for line in lines if line.strip())
    rows = ((digest, *coordinate.split(":")) for digest, coordinate in pairs)
    return tuple(Jar(group, artifact, version, digest) for digest, group, artifact, version in rows)


def spark_jars() -> Path:
    """Folder of the jars in the pyspark wheel."""
    return Path(pyspark.__file__).parent / "jars"


def folder() -> Path:
    """Folder where the resolved Delta jars are kept."""
    return settings.home() / "jars"


def missing() -> list[Jar]:
    """Pinned jars that are not in the cache or whose content is not the pinned one."""
    return [jar for jar in pinned() if _sha256(folder() / jar.file_name) != jar.sha256]


def resolve(java: Java) -> list[Path]:
    """Paths of the Delta jars, fetched if need be. Safe for several processes at once.

    Raises LabsError if the registry cannot be reached, or if what it gave is not what is pinned.
    """
    if not missing():  # the usual case takes no lock: the folder may be read-only
        return [folder() / jar.file_name for jar in pinned()]
    folder().mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder() / ".lock"):
        wanted = missing()
        if wanted:
            _fetch(java, wanted)
            for jar in wanted:
                path = folder() / jar.file_name
                if (found := _sha256(path)) != jar.sha256:
                    path.unlink(missing_ok=True)
                    raise LabsError(
                        f"{jar.file_name} has checksum {found[:12] or 'none'}…, pinned is {jar.sha256[:12]}…; it was deleted. "
                        "Run again; if it stays so, the registry or a proxy in between serves another file."
                    )
    return [folder() / jar.file_name for jar in pinned()]


def _fetch(java: Java, wanted: list[Jar]) -> None:
    dependencies = "".join(
        f'<dependency org="{jar.group}" name="{jar.artifact}" rev="{jar.version}" transitive="false">'
        f'<artifact name="{jar.artifact}" type="jar" ext="jar"/></dependency>'
        for jar in wanted
    )
    with tempfile.TemporaryDirectory(dir=folder()) as scratch:
        ivy_file = Path(scratch) / "ivy.xml"
        ivy_file.write_text(
            '<ivy-module version="2.0"><info organisation="labs" module="jars"/>'
            f"<dependencies>{dependencies}</dependencies></ivy-module>"
        )
        command = [
            str(java.executable),
            *_trust(Path(scratch)),
            "-cp",
            f"{spark_jars()}/*",
            "org.apache.ivy.Main",
            *("-warn", "-ivy", str(ivy_file), "-cache", f"{scratch}/cache", "-confs", "default"),
            *("-retrieve", f"{scratch}/out/[artifact]-[revision].[ext]"),
        ]
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=RESOLVE_TIMEOUT)
            output = run.stdout + run.stderr
        except subprocess.TimeoutExpired:
            output = f"no answer within {RESOLVE_TIMEOUT} s"
        for jar in wanted:
            source = Path(scratch) / "out" / jar.file_name
            if not source.exists():
                reason = next((line.strip() for line in output.splitlines() if "Handler:" in line), "")
                raise LabsError(
                    f"{jar.file_name} could not be fetched from the Maven registry{': ' + reason[:200] if reason else ''}. "
                    "Connect to the network and run `labs setup` once; after that no start needs the registry."
                )
            shutil.move(source, folder() / jar.file_name)


def _trust(scratch: Path) -> list[str]:
    """Java options that make a company's certificate bundle (SSL_CERT_FILE) valid for Java too, if there is one."""
    bundle = os.environ.get("SSL_CERT_FILE")
    if not bundle or not Path(bundle).exists():
        return []
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some public roots have serial numbers that cryptography frowns at
        certificates = x509.load_pem_x509_certificates(Path(bundle).read_bytes())
    store = pkcs12.serialize_java_truststore(
        [pkcs12.PKCS12Certificate(certificate, None) for certificate in certificates],
        BestAvailableEncryption(TRUSTSTORE_PASSWORD.encode()),
    )
    path = scratch / "truststore.p12"
    path.write_bytes(store)
    return [f"-Djavax.net.ssl.trustStore={path}", f"-Djavax.net.ssl.trustStorePassword={TRUSTSTORE_PASSWORD}"]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""
