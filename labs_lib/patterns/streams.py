"""Runs a streaming query over what is there and to its end, with its checkpoint below the lab's folder."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pandas as pd
from pyspark.errors import PySparkException

from labs_lib.arguments import checked, plain_name
from labs_lib.errors import LabsError
from labs_lib.lab import Lab

COLUMNS = ("batch", "input_rows", "watermark", "state_rows", "closed", "dropped")
SENTENCE = 300  # characters of Spark's own words in an error
# Spark gives the Python process of a foreachBatch ten seconds to connect back, which a busy machine may not keep. A query that did not start has
# done nothing, so it can be started again.
NOT_CONNECTED, STARTS = "Python worker failed to connect back", 6
T = TypeVar("T")


class Writer(Protocol):
    """What `DataFrame.writeStream` gives: pyspark's DataStreamWriter, of either kind."""

    def option(self, key: str, value: Any) -> Any:
        """Set an option and return the writer."""

    def trigger(self, *, availableNow: bool) -> Any:
        """Set the trigger and return the writer."""


@checked
def run_stream(lab: Lab, name: str, writer: Writer, table: str | None = None) -> pd.DataFrame:
    """Process what the source holds now and has not been processed yet; return the run's micro-batches, one a row.

    `writer` is `frame.writeStream` with whatever it needs (outputMode, foreachBatch); the trigger is set to availableNow and the
    checkpoint to `checkpoints/<name>`, so another call with that name goes on where the last one ended, failed or was interrupted.
    `table` is the Delta table to write to; without it the writer's own sink is used.

    Columns, all from the query's progress: `batch` (id), `input_rows`, `watermark` (UTC, the one in force during the batch; empty where
    there is none), `state_rows` (in state at its end), `closed` (groups that left the state), `dropped` (groups that came too late).
    A run that found nothing new gives no rows.

    Raises LabsError for arguments of other types, if the query can't start or fails, or if its table is gone although the checkpoint says that it was written.
    """
    folder = checkpoint(lab, name)
    if (
        table is not None
        and any((folder / "commits").glob("[0-9]*"))
        and not lab.spark.catalog.tableExists(table)
    ):
        raise LabsError(
            f"The table {table!r} is gone, but the checkpoint of the stream {name!r} holds what had been written to it, so those rows would "
            f"never come again. Call forget_stream(lab, {name!r}) to begin anew."
        )
    _stop(lab, name)
    prepared = writer.option("checkpointLocation", str(folder)).trigger(availableNow=True).queryName(name)
    try:
        query = started(lambda: prepared.toTable(table) if table is not None else prepared.start())
    except PySparkException as error:
        raise LabsError(f"The stream {name!r} did not start: {_reason(error)}") from None
    try:
        query.awaitTermination()
    except PySparkException as error:
        raise LabsError(
            f"The stream {name!r} failed: {_reason(error, _failure(query))} Its checkpoint holds what was finished before; correct the cause and run it "
            f"again to go on, or call forget_stream(lab, {name!r}) to begin anew."
        ) from None
    except BaseException:  # interrupted: the query runs on the server, and would go on there unseen
        query.stop()
        raise
    batches = [_batch(progress) for progress in query.recentProgress if "addBatch" in progress["durationMs"]]
    return pd.DataFrame(batches, columns=list(COLUMNS))


@checked
def forget_stream(lab: Lab, *names: str) -> None:
    """Remove checkpoints, so that the next run of those streams begins at the source's beginning; nothing if there are none.

    What the streams have written stays: drop their tables too, or it is written twice.
    """
    for name in names:
        folder = checkpoint(lab, name)
        _stop(lab, name)
        shutil.rmtree(folder, ignore_errors=True)


def checkpoint(lab: Lab, name: str) -> Path:
    """Folder of a stream's checkpoint. Raises LabsError if the name is no plain word."""
    return lab.folder / "checkpoints" / plain_name("A stream", name)


def started(start: Callable[[], T]) -> T:
    """What `start` returns, called again while the Python process of its foreachBatch does not connect in time. Its errors pass."""
    for _ in range(STARTS - 1):
        try:
            return start()
        except PySparkException as error:
            if NOT_CONNECTED not in str(error):
                raise
    return start()


def _failure(query: Any) -> str:
    """What the query itself says about its end; nothing where the server that knows it is gone too."""
    try:
        return str(query.exception())
    except PySparkException:
        return ""


def _stop(lab: Lab, name: str) -> None:
    """Stop a query of that name that an interrupted cell left running."""
    for query in lab.spark.streams.active:
        if query.name == name:
            query.stop()


def _batch(progress: dict[str, Any]) -> tuple[Any, ...]:
    operators = progress["stateOperators"]
    return (
        progress["batchId"],
        sum(source["numInputRows"] for source in progress["sources"]),
        _time(progress["eventTime"].get("watermark", "")),
        sum(operator["numRowsTotal"] for operator in operators),
        sum(operator["numRowsRemoved"] for operator in operators),
        sum(operator["numRowsDroppedByWatermark"] for operator in operators),
    )


def _time(text: str) -> str:
    """`2017-05-01T21:58:00.000Z` as `2017-05-01 21:58:00`."""
    return text.split(".")[0].replace("T", " ").rstrip("Z")


def _reason(error: PySparkException, trace: str = "") -> str:
    """What went wrong, in one sentence: a Python function's own error, the innermost cause in a stack trace, or Spark's first line."""
    text = re.sub(r"(?s).*?terminated with exception: ", "", str(error), count=1)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    raised = [line for line in lines if re.match(r"(\w+\.)*\w*(Error|Exception)\b.*: ", line)]
    causes = re.findall(r"(?m)^Caused by: [\w.$]+: (.+)$", trace)
    told = [*lines[:1], *causes, *raised] or [type(error).__name__]
    return f"{re.sub(r'( SQLSTATE: [0-9A-Z]{5})+', '', told[-1])[:SENTENCE].rstrip('. ')}."
