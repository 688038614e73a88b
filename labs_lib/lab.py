"""A learner's session on one module: its Spark session, its database, its folder, its workspace."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote, urlsplit

import filelock
import pyarrow as pa
from pyspark.sql.connect.dataframe import DataFrame
from pyspark.sql.connect.session import SparkSession

import datasets
from labs_lib import registry, settings
from labs_lib.engine import runs, session
from labs_lib.engine.sql import literal
from labs_lib.errors import LabsError
from labs_lib.workspace import client

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

_current: Lab | None = None
_databases: dict[Path, str] = {}  # by the folder of the lab that uses it


@dataclass(frozen=True)
class Lab:
    """One module opened with one seed. Spark is there from the first use of it on: what needs none starts none."""

    module: str
    seed: int
    folder: Path

    @property
    def spark(self) -> SparkSession:
        """The current session; a new one if there is none yet or the server had to be replaced.

        Raises LabsError if no server can be had.
        """
        return session.connection().spark

    @property
    def database(self) -> str:
        """Name of this lab's database, which is the session's current one, so table names need no prefix."""
        spark = self.spark
        return _databases.get(self.folder) or _database_at(spark, registry.room(self.module), self.tables)

    @property
    def tables(self) -> Path:
        """Folder of the database: a table's files are in the subfolder of its name."""
        return self.folder / "tables"

    @property
    def ui(self) -> str | None:
        """Address of the live Spark UI."""
        return session.connection().ui

    def path(self, table: str) -> Path:
        """Folder of a table of this lab. Raises LabsError if there is no such Delta table."""
        path = self.tables / table.lower()
        if not (path / "_delta_log").is_dir():
            raise LabsError(
                f"There is no Delta table {table!r} among the tables of {self.module}; create it there first."
            )
        return path

    @property
    def workspace(self) -> WorkspaceClient:
        """A databricks-sdk client of this lab's workspace, as its admin; the local service starts on first need.

        With DATABRICKS_HOST and DATABRICKS_TOKEN set it is one of the workspace that they name. Raises LabsError if none can be had.
        """
        return client.workspace(self.folder)

    def workspace_as(self, user: str) -> WorkspaceClient:
        """A client as the user of that address, or the service principal of that application id. Raises LabsError if there is none."""
        return client.workspace(self.folder, user)

    def token_for(self, user: str | None = None) -> str:
        """A token of that user, or of the admin, for curl, Terraform or an SDK of another language. Raises LabsError if there is none."""
        return client.token_for(self.folder, user)

    def load(self, name: str, scale: float | None = None, fresh: bool = False) -> DataFrame:
        """A course table, as a Delta table of this lab's database.

        It is a copy of the learner's own (data files are hard links until rewritten), so it may be changed freely;
        `fresh=True` puts it back to its first state. Raises LabsError if the name or the scale is unknown.
        """
        try:
            spec = datasets.TABLES[name]
        except KeyError:
            raise LabsError(
                f"There is no course table {name!r}; there are {', '.join(sorted(datasets.TABLES))}."
            ) from None
        scale = usual_scale(spec) if scale is None else scale
        target = self.tables / name
        if _is_elsewhere():
            return self._upload(name, scale, fresh)
        if fresh:
            self.drop(name)
        if not (target / "_delta_log").is_dir():
            try:
                source = datasets.materialise(name, self.seed, scale, "delta", settings.home() / "data")
            except ValueError as error:
                raise LabsError(str(error)) from None
            _link(source, target)
        self.spark.sql(f"CREATE TABLE IF NOT EXISTS {name} USING delta LOCATION {literal(target)}")
        return cast(DataFrame, self.spark.table(name))

    def drop(self, *names: str) -> None:
        """Remove tables of this lab with their files, if they exist: a way to start a step again."""
        for name in names:
            self.spark.sql(f"DROP TABLE IF EXISTS {name}")
            shutil.rmtree(self.tables / name.lower(), ignore_errors=True)

    def _upload(self, name: str, scale: float, fresh: bool) -> DataFrame:
        """Send a table to a cluster that does not see this machine's files."""
        if fresh or not self.spark.catalog.tableExists(name):
            table: pa.Table = datasets.build(name, self.seed, scale)
            self.spark.createDataFrame(table).write.mode("overwrite").saveAsTable(name)
        return cast(DataFrame, self.spark.table(name))


def usual_scale(spec: datasets.TableSpec) -> float:
    """The scale in which a course table is loaded unless the notebook asks for another."""
    low, high = spec.scales
    return min(high, max(low, spec.default_scale * settings.scale()))


def open_lab(module: str, seed: int = 0) -> Lab:
    """Open a module: make its folder. The first use of its Spark session selects its database and finds its tables again.

    Raises LabsError if the module is unknown, the seed is not a whole number, or the folder holds work on another seed.
    """
    global _current
    if module not in {known.name for known in registry.modules()}:
        raise LabsError(
            f"There is no module {module!r}; there are {', '.join(m.name for m in registry.modules())}."
        )
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise LabsError(f"The seed is {seed!r}; it has to be a whole number, 0 or more.")
    folder = settings.usable(settings.workspace(), "LABS_WORKSPACE") / module
    settings.usable(folder / "tables", "LABS_WORKSPACE")
    _same_seed(folder, seed)
    runs.watch()
    session.on_connect(_reopen)
    _current = Lab(module, seed, folder)
    if connected := session.connected():
        _reopen(connected.spark)
    else:
        session.expect()
    return _current


def current() -> Lab:
    """The lab that this notebook opened. Raises LabsError if none is open."""
    if _current is None:
        raise LabsError(
            "No lab is open; run the notebook's first cells, which call open_lab, and then this one again."
        )
    return _current


def forget() -> None:
    """Have no lab open any more: a later connection finds none to open again."""
    global _current
    _current = None


def _reopen(spark: SparkSession) -> None:
    if _current is not None:
        name = _database_at(spark, registry.room(_current.module), _current.tables)
        spark.sql(f"USE {name}")
        _databases[_current.folder] = name
        _attach(_current, spark)


def _database_at(spark: SparkSession, name: str, location: Path) -> str:
    """The database at that folder, made if need be; a suffix keeps apart two workspaces on one server."""
    if _is_elsewhere():
        spark.sql(f"CREATE DATABASE IF NOT EXISTS {name}")
        return name
    for candidate in (name, f"{name}_{hashlib.sha256(str(location).encode()).hexdigest()[:6]}"):
        spark.sql(f"CREATE DATABASE IF NOT EXISTS {candidate} LOCATION {literal(location)}")
        if _local(spark.catalog.getDatabase(candidate).locationUri) == location:
            return candidate
    raise LabsError(
        f"The database {candidate} exists at another folder than {location}; run `labs stop` and open the lab again."
    )


def _attach(lab: Lab, spark: SparkSession) -> None:
    """Bring the catalog, which lives in the server's memory, in line with the tables on disk.

    Delta tables that an earlier server knew are registered; tables whose files somebody deleted are taken out, as they could neither
    be read nor made again.
    """
    if _is_elsewhere():
        return
    on_disk = {log.parent.name for log in lab.tables.glob("*/_delta_log") if any(log.iterdir())}
    known = {row.tableName for row in spark.sql("SHOW TABLES").collect() if not row.isTemporary}
    for name in sorted(known - on_disk):
        if (files := _files(spark, name)) is not None and not files.is_dir():
            spark.sql(f"DROP TABLE IF EXISTS `{name}`")
    for name in sorted(on_disk - known):
        spark.sql(f"CREATE TABLE IF NOT EXISTS `{name}` USING delta LOCATION {literal(lab.tables / name)}")


def _files(spark: SparkSession, table: str) -> Path | None:
    """The folder in which the catalog thinks a table's files are; None for a view, and for what is not on this machine."""
    told = spark.sql(f"SHOW TABLE EXTENDED LIKE {literal(table)}").collect()
    uri = re.search(r"^Location: (file:.*)$", told[0].information if told else "", re.MULTILINE)
    return _local(uri[1]) if uri else None


def _local(uri: str) -> Path:
    """The path of a `file:` address of the catalog's."""
    return Path(unquote(urlsplit(uri).path))


def _same_seed(folder: Path, seed: int) -> None:
    """Move aside what was made with another seed: mixing data of two seeds makes every figure wrong."""
    marker = folder / "seed"
    with filelock.FileLock(folder / ".lock"):
        if marker.exists() and (previous := marker.read_text()) != str(seed):
            kept = folder.with_name(f"{folder.name}-seed{previous}")
            raise LabsError(
                f"This workspace ({folder}) holds work on seed {previous} and the notebook asks for seed {seed}; "
                f"set SEED back to {previous}, or rename the folder to {kept.name} to begin anew."
            )
        marker.write_text(str(seed))


def _is_elsewhere() -> bool:
    """Whether Spark runs on a machine that does not see this one's files."""
    address = settings.remote()
    return address is not None and urlsplit(address).hostname not in {"localhost", "127.0.0.1", "::1"}


def _link(source: Path, target: Path) -> None:
    """Copy a Delta table with hard links: Delta never changes a data file, so only the log needs a copy."""
    scratch = target.with_name(f".{target.name}-{os.getpid()}")
    shutil.rmtree(scratch, ignore_errors=True)

    def place(origin: str, destination: str) -> None:
        if "_delta_log" in Path(origin).parts:
            shutil.copyfile(origin, destination)
            return
        try:
            os.link(origin, destination)
        except OSError:  # another disk
            shutil.copyfile(origin, destination)

    shutil.copytree(source, scratch, copy_function=place)
    shutil.rmtree(target, ignore_errors=True)
    scratch.rename(target)
