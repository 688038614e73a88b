"""Applies a feed of changes to a Delta table in the order of its sequence, however the changes arrive.

The signature is that of `create_auto_cdc_flow` in Databricks' pipelines, which keeps such a table current by itself. Spark 4.2 has a
function of that name too, for type 1 and for targets that take row-level operations through Spark's own interface, which Delta
does not. This one runs a stream with foreachBatch and MERGE, for types 1 and 2.

Beside a target `t` stand two tables: `t__tombstones` remembers which key was deleted at which sequence, so that an
older change that arrives afterwards does not bring the row back; `t__rejected` keeps changes that can't be applied.
Tombstones are written before the target, and each statement leaves alone what is there already: a batch that is applied
again, after a crash between the two or at any other time, changes nothing.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.connect.session import SparkSession
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.sql.types import StructType

from labs_lib.arguments import checked, plain_name
from labs_lib.errors import LabsError, first_line
from labs_lib.lab import Lab, current
from labs_lib.patterns.cdc_batch import DELETED, END, REJECTED, SEQUENCE, START, Flow, apply_batch
from labs_lib.patterns.cdc_batch import quoted as _quoted
from labs_lib.patterns.streams import started


@dataclass(frozen=True)
class FlowRun:
    """What one run of a flow read: `changes` rows of its source, in `batches` batches. Both 0 if there was nothing new."""

    batches: int
    changes: int


@checked
def create_auto_cdc_flow(
    target: str,
    source: str,
    keys: Sequence[str],
    sequence_by: str | Column,
    ignore_null_updates: bool = False,
    apply_as_deletes: str | Column | None = None,
    apply_as_truncates: str | Column | None = None,
    column_list: Sequence[str] | None = None,
    except_column_list: Sequence[str] | None = None,
    stored_as_scd_type: int | str = 1,
    track_history_column_list: Sequence[str] | None = None,
    track_history_except_column_list: Sequence[str] | None = None,
    name: str | None = None,
    once: bool = False,
) -> FlowRun:
    """Apply the changes that have come into `source` since the last run to `target`, and wait until that is done.

    target: name of a table of the open lab. The first run makes it, with the selected columns and `__sequence`; type 2 adds
        `__START_AT` and `__END_AT`, sequence values between which a version was valid; the end is null for what is valid now.
    source: name of a Delta table of the lab that is only appended to, such as a streaming table of a pipeline.
    keys: columns that identify a row.
    sequence_by: column, SQL expression or Column that orders the changes of a key; a struct orders by several. The
        change with the highest one counts. Of two with the same key and sequence the one applied first stays, and a delete goes
        before an upsert.
    apply_as_deletes: condition, as SQL or Column, under which a change deletes its key; where it is null, it does not.
    column_list, except_column_list: columns that the target gets, or those it does not get; all by default.
    stored_as_scd_type: 1 keeps the newest row per key, 2 a row per version.
    track_history_column_list, track_history_except_column_list: for type 2, columns whose change makes a new version, or those
        whose change does not; all by default. An upsert that changes no tracked column makes none.
    name: of the flow, by which its checkpoint is known; the target's by default.

    A change with a null in a key or in the sequence is put into `<target>__rejected` (reason, change as JSON), each different
    one once. Raises LabsError for arguments that do not fit, for what is not supported (ignore_null_updates, apply_as_truncates, once),
    for a target that does not go with the checkpoint, and when the stream fails; what was applied before stays.
    """
    unsupported = {
        "ignore_null_updates": ignore_null_updates,
        "apply_as_truncates": apply_as_truncates is not None,
        "once": once,
    }
    for argument, asked in unsupported.items():
        if asked:
            raise LabsError(
                f"{argument} is not supported by this course's create_auto_cdc_flow; leave it out."
            )
    lab = current()
    flow_name = name or target
    for what, given in (("A target", target), ("A source", source), ("A flow", flow_name)):
        plain_name(what, given)
    spark, database = lab.spark, lab.database
    if not spark.catalog.tableExists(f"{database}.{source}"):
        raise LabsError(
            f"There is no table {source!r} in the database {database}; run the pipeline that makes it first."
        )
    stream = spark.readStream.table(f"`{database}`.`{source}`")
    try:
        available = stream.columns
    except PySparkException as error:
        raise LabsError(
            f"{source!r} can't be read as a stream; it has to be a Delta table: {first_line(error)}"
        ) from None
    columns = _selected(available, keys, column_list, except_column_list)
    scd_type = _scd_type(stored_as_scd_type)
    whole, tombstones, rejected = (f"`{database}`.`{table}`" for table in _tables(target))
    tracked = _tracked(scd_type, columns, keys, track_history_column_list, track_history_except_column_list)
    flow = Flow(whole, tombstones, rejected, tuple(keys), columns, tracked, scd_type)
    changes = _prepared(stream, flow, sequence_by, apply_as_deletes)
    checkpoint = _checkpoint(lab, flow_name)
    _make_tables(spark, flow, changes.schema, f"{database}.{target}", checkpoint)
    return _run(changes, flow, flow_name, checkpoint)


@checked
def drop_auto_cdc_flow(target: str, name: str | None = None) -> None:
    """Remove a flow of the open lab: its target, the tables beside it, and its checkpoint, all together.

    The next run of the flow reads its source from the beginning. What is not there is passed over. Raises LabsError if a name is no
    plain word.
    """
    lab = current()
    plain_name("A target", target)
    plain_name("A flow", name or target)
    lab.drop(*_tables(target))
    shutil.rmtree(_checkpoint(lab, name or target), ignore_errors=True)


def _prepared(
    stream: DataFrame, flow: Flow, sequence_by: str | Column, apply_as_deletes: str | Column | None
) -> DataFrame:
    """The source's rows as `apply_batch` wants them. Raises LabsError if an expression does not fit the source."""
    sequence = _expression("sequence_by", sequence_by)
    delete = F.lit(False) if apply_as_deletes is None else _expression("apply_as_deletes", apply_as_deletes)
    whole = F.struct(*(F.col(_quoted(column)) for column in stream.columns))
    try:
        extended = stream.select("*", sequence.alias(SEQUENCE), delete.alias(DELETED))
        kinds = {field.name: field.dataType for field in extended.schema}
    except PySparkException as error:
        raise LabsError(
            f"sequence_by or apply_as_deletes does not fit the source's columns: {first_line(error)}"
        ) from None
    if kinds[DELETED].typeName() != "boolean":
        raise LabsError("apply_as_deletes has to be a condition, which is true for a change that deletes.")
    sequence_type = kinds[SEQUENCE]
    parts = (
        [f"{SEQUENCE}.{_quoted(field.name)}" for field in sequence_type]
        if isinstance(sequence_type, StructType)
        else [SEQUENCE]
    )
    unfit = functools.reduce(
        lambda one, other: one | other, (F.col(name).isNull() for name in (*map(_quoted, flow.keys), *parts))
    )
    as_json = F.to_json(whole, {"ignoreNullFields": "false"})
    return extended.select(
        *(F.col(_quoted(column)) for column in flow.columns),
        SEQUENCE,
        F.coalesce(F.col(DELETED), F.lit(False)).alias(DELETED),
        F.when(unfit, as_json).alias(REJECTED),
    )


def _make_tables(spark: SparkSession, flow: Flow, schema: StructType, target: str, checkpoint: Path) -> None:
    """The flow's tables, empty, if they are not there. Raises LabsError if a target is there that the flow does not go with."""
    kinds = {field.name: field.dataType.simpleString() for field in schema}
    history = (START, END) if flow.scd_type == 2 else ()
    wanted = {name: kinds[name] for name in flow.columns}
    wanted |= {SEQUENCE: kinds[SEQUENCE]} | {name: kinds[SEQUENCE] for name in history}
    advice = "call drop_auto_cdc_flow to begin anew."
    keys = {name: kinds[name] for name in flow.keys}
    tables = {
        flow.target: wanted,
        flow.tombstones: keys | {SEQUENCE: kinds[SEQUENCE]},
        flow.rejected: {"reason": "string", "change": "string"},
    }
    made = spark.catalog.tableExists(target)
    for table, columns in tables.items():
        name = table.replace("`", "")
        if spark.catalog.tableExists(name):
            there = {field.name: field.dataType.simpleString() for field in spark.table(table).schema}
            if there != columns:
                different = sorted(
                    {n for n in there.keys() | columns.keys() if there.get(n) != columns.get(n)}
                )
                raise LabsError(
                    f"The table {name} was not made by this flow: {', '.join(different)} differ; {advice}"
                )
        elif made or checkpoint.exists():
            raise LabsError(f"The flow has applied changes before, and its table {name} is gone; {advice}")
    for table, columns in tables.items():
        listed = ", ".join(f"{_quoted(column)} {kind}" for column, kind in columns.items())
        spark.sql(
            f"CREATE TABLE IF NOT EXISTS {table} ({listed}) USING delta TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')"
        )


def _run(changes: DataFrame, flow: Flow, name: str, checkpoint: Path) -> FlowRun:
    query = None
    try:
        query = _started(changes, flow, checkpoint)
        query.awaitTermination()
        progress: list[Any] = list(query.recentProgress)
    except PySparkException as error:
        raise LabsError(
            f"The flow {name} stopped: {first_line(error)} What was applied before stays; the next run goes on from there."
        ) from None
    finally:
        # An interrupted notebook leaves no stream behind; a server that is gone has none.
        with contextlib.suppress(PySparkException):
            if query is not None and query.isActive:
                query.stop()
    read = [sum(source["numInputRows"] for source in each["sources"]) for each in progress]
    return FlowRun(sum(rows > 0 for rows in read), sum(read))


def _started(changes: DataFrame, flow: Flow, checkpoint: Path) -> StreamingQuery:
    """The stream that applies what has come."""
    writer = (
        changes.writeStream.foreachBatch(functools.partial(apply_batch, flow))
        .option("checkpointLocation", str(checkpoint))
        .trigger(availableNow=True)
    )
    return started(writer.start)


def _selected(
    available: Sequence[str],
    keys: Sequence[str],
    column_list: Sequence[str] | None,
    except_column_list: Sequence[str] | None,
) -> tuple[str, ...]:
    """The source's columns that the target gets. Raises LabsError for names that are not there or leave out a key."""
    clash = [name for name in available if name.startswith("__")]
    if clash:
        raise LabsError(
            f"The source has a column {clash[0]!r}; names that begin with two underscores are a flow's own. Rename it."
        )
    for what, names in (
        ("keys", keys),
        ("column_list", column_list),
        ("except_column_list", except_column_list),
    ):
        _known(what, names, available)
    if not keys:
        raise LabsError("keys is empty; name the columns that identify a row.")
    if len(set(keys)) < len(keys):
        raise LabsError(f"keys names a column twice: {', '.join(keys)}.")
    if column_list is not None and except_column_list is not None:
        raise LabsError("Give column_list or except_column_list, not both.")
    chosen = available if column_list is None else column_list
    columns = tuple(name for name in chosen if name not in (except_column_list or ()))
    missing = [key for key in keys if key not in columns]
    if missing:
        raise LabsError(f"The key {missing[0]!r} is not among the target's columns; a key can't be left out.")
    return columns


def _tracked(
    scd_type: int,
    columns: Sequence[str],
    keys: Sequence[str],
    chosen: Sequence[str] | None,
    left_out: Sequence[str] | None,
) -> tuple[str, ...]:
    """Columns that make history. Raises LabsError if they are named for type 1, in both ways, or are not in the target."""
    if scd_type == 1 and (chosen is not None or left_out is not None):
        raise LabsError("Tracked columns are for type 2; type 1 keeps no history.")
    if chosen is not None and left_out is not None:
        raise LabsError("Give track_history_column_list or track_history_except_column_list, not both.")
    _known("track_history_column_list", chosen, columns)
    _known("track_history_except_column_list", left_out, columns)
    some = columns if chosen is None else chosen
    tracked = tuple(name for name in some if name not in keys and name not in (left_out or ()))
    return tracked or tuple(
        keys
    )  # of a table of keys alone, or one that tracks nothing, each key has one version


def _known(what: str, names: Sequence[str] | None, available: Sequence[str]) -> None:
    if names is None:
        return
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise LabsError(f"{what} has to be a list of column names, as strings.")
    unknown = [name for name in names if name not in available]
    if unknown:
        raise LabsError(f"{what} names {unknown[0]!r}; there are {', '.join(available)}.")


def _scd_type(given: int | str) -> int:
    if str(given) not in {"1", "2"}:
        raise LabsError(f"stored_as_scd_type is {given!r}; it is 1 or 2.")
    return int(given)


def _expression(what: str, given: str | Column) -> Column:
    if isinstance(given, Column):
        return given
    if not given.strip():
        raise LabsError(f"{what} is {given!r}; give an SQL expression or a Column.")
    return F.expr(given)


def _tables(target: str) -> tuple[str, str, str]:
    return target, f"{target}__tombstones", f"{target}__rejected"


def _checkpoint(lab: Lab, name: str) -> Path:
    return lab.folder / "checkpoints" / "cdc" / name
