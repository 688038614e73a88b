"""A rehearsal of failures: real ones, played against a learner's stream in an order that never varies.

Nothing waits and nothing is timed. The process that runs the batch function kills itself (SIGKILL) at a moment that the rehearsal
chose; files are really cut off, and the source's folder is really gone.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd
from pyspark.sql.connect.streaming.readwriter import DataStreamWriter

from labs_lib.arguments import callable_with
from labs_lib.errors import LabsError
from labs_lib.lab import Lab, _is_elsewhere
from labs_lib.measuring import delta_log
from labs_lib.patterns import checkpoint_log
from labs_lib.patterns.feeds import sales_files
from labs_lib.patterns.streams import NOT_CONNECTED, STARTS

Resume = Callable[[str, str, str, str], object]
Moment = Literal["before", "after"]
TABLE, QUARANTINE = "recovered_sales", "quarantine"
CLEAN_TABLE, CLEAN_QUARANTINE = "clean_sales", "clean_quarantine"
COLUMNS = ("act", "outcome", "rows", "quarantined", "finished", "unfinished")


def rehearse(lab: Lab, resume: Resume) -> pd.DataFrame:
    """Play the failures against `resume(source, checkpoint, table, quarantine)`, and then a clean run on the same deliveries.

    Each call has to start or resume the stream, let it work off what has arrived, and come back when it has ended. The tables
    `recovered_sales`, `quarantine`, `clean_sales` and `clean_quarantine`, their checkpoints and the folder of deliveries are removed
    first, so a rehearsal always begins at the beginning.

    Returns one row per act: `act`, `outcome` (completed, killed, or failed with the error's name), and what there is afterwards:
    `rows` in the table, rows in the quarantine (`quarantined`), `finished` and `unfinished` batches of the checkpoint. A failure of
    the pipeline is an outcome and no exception. Raises LabsError if `resume` is no such function, comes back while its stream
    still runs, never calls foreachBatch, or removes or makes the source's folder.
    """
    callable_with(resume, "resume", "source", "checkpoint", "table", "quarantine")
    if _is_elsewhere():
        raise LabsError(
            "The rehearsal needs a Spark server on this machine; unset SPARK_REMOTE and open the lab again."
        )
    feed = sales_files.feed(lab.seed)
    stage = _Stage(lab, resume, lab.folder / "feeds" / "recovery", lab.folder / "checkpoints" / "recovery")
    stage.clear()
    stage.deliver(feed.deliveries[0], feed.deliveries[1], feed.sound)
    for broken in feed.cut:
        stage.deliver(broken, cut=True)
    stage.act("killed before the write", kill="before")
    stage.act("killed after the write", kill="after")
    stage.act("started again")
    changed, last = feed.deliveries[-2], feed.deliveries[-1]
    stage.deliver(*(broken.again() for broken in feed.cut), changed)
    stage.act("sent again, new schema")
    with stage.without_source():
        stage.act("source gone")
    stage.deliver(changed.again(), last)
    stage.act("source back")
    clean = stage.for_the_clean_run()
    clean.deliver(*feed.deliveries)
    clean.act("clean run")
    difference = differing_rows(lab, TABLE, CLEAN_TABLE)
    print(f"Rows in which {TABLE} and {CLEAN_TABLE} differ: {difference}")
    return pd.DataFrame([*stage.log, *clean.log], columns=list(COLUMNS))


def differing_rows(lab: Lab, one: str, other: str) -> int:
    """How many rows are in one of two tables and not in the other, each as often as it is there; columns count by name.

    A table that is not there counts as an empty one. Raises LabsError if one can't be read.
    """
    left, right = (_rows(lab, name) for name in (one, other))
    return sum(((left - right) + (right - left)).values())


@contextlib.contextmanager
def killing(moment: Moment, marker: Path | None = None) -> Iterator[list[object]]:
    """In a `with` block, let the first function that is given to foreachBatch die with its process: `before` or `after` its work.

    The function's process writes `marker` right before it kills itself. Yields a list that holds the function once one was given.
    Raises LabsError if the moment is neither.
    """
    if moment not in get_args(Moment):
        raise LabsError(
            f"There is no moment {moment!r} to kill at; there are {' and '.join(get_args(Moment))}."
        )
    plain = DataStreamWriter.foreachBatch
    given: list[object] = []

    def foreach_batch(writer: DataStreamWriter, function: Callable[[Any, int], None]) -> DataStreamWriter:
        doomed = function if given else _doomed(function, moment, str(marker or os.devnull))
        given.append(function)
        return plain(writer, doomed)

    DataStreamWriter.foreachBatch = foreach_batch  # type: ignore[method-assign, assignment]
    try:
        yield given
    finally:
        DataStreamWriter.foreachBatch = plain  # type: ignore[method-assign]


def _doomed(function: Callable[[Any, int], None], moment: Moment, marker: str) -> Callable[[Any, int], None]:
    # A nested function travels to the server's Python process by value: nothing of labs_lib is imported there.
    def work_and_die(batch: Any, batch_id: int) -> None:
        if moment == "after":
            function(batch, batch_id)
        with open(marker, "w") as file:
            file.write(str(batch_id))
        os.kill(os.getpid(), signal.SIGKILL)

    return work_and_die


@dataclass
class _Stage:
    """Where a rehearsal takes place, and what has happened there."""

    lab: Lab
    resume: Resume
    folder: Path
    checkpoint: Path
    table: str = TABLE
    quarantine: str = QUARANTINE
    log: list[dict[str, Any]] = field(default_factory=list)

    @property
    def source(self) -> Path:
        return self.folder / "landing"

    def clear(self) -> None:
        self.lab.drop(TABLE, QUARANTINE, CLEAN_TABLE, CLEAN_QUARANTINE)
        for folder in (self.folder, self.checkpoint):
            shutil.rmtree(folder, ignore_errors=True)
        self.source.mkdir(parents=True)

    def for_the_clean_run(self) -> _Stage:
        clean = _Stage(
            self.lab,
            self.resume,
            self.folder / "clean",
            self.checkpoint / "clean",
            CLEAN_TABLE,
            CLEAN_QUARANTINE,
        )
        clean.source.mkdir(parents=True)
        return clean

    def deliver(self, *files: sales_files.Delivery, cut: bool = False) -> None:
        for file in files:
            file.write(self.source, cut)

    @contextlib.contextmanager
    def without_source(self) -> Iterator[None]:
        away = self.source.with_name("away")
        self.source.rename(away)
        try:
            yield
        finally:
            made = self.source.exists()
            if made:
                shutil.rmtree(self.source)
            away.rename(self.source)
        if made:
            raise LabsError(
                f"resume() made the folder {self.source} while the source was gone. An empty folder looks like a source that has "
                "nothing new: leave the folder to the source, and let the stream fail."
            )

    def act(self, name: str, kill: Moment | None = None) -> None:
        """Call `resume` once and note what came of it."""
        marker = self.folder / f"killed-{len(self.log)}"
        there = self.source.exists()
        before = {query.id for query in self.lab.spark.streams.active}
        try:
            for _ in range(STARTS):
                error: Exception | None = None
                fault: contextlib.AbstractContextManager[list[object]] = contextlib.nullcontext([])
                if kill:
                    fault = killing(kill, marker)
                with fault as given:
                    try:
                        self.resume(*self._arguments())
                    except Exception as raised:  # a learner's function may raise anything
                        error = raised
                if error is None or NOT_CONNECTED not in str(error):
                    break
        finally:  # interrupted too: a stream that goes on would work on the folders of the next rehearsal
            left = [query for query in self.lab.spark.streams.active if query.id not in before]
            for query in left:
                query.stop()
        if left:
            raise LabsError(
                "resume() came back while its stream was still running; end it with query.awaitTermination()."
            )
        if there and not self.source.is_dir():
            raise LabsError(f"resume() removed the source's folder {self.source}; a pipeline only reads it.")
        if kill and not given and error is None:
            raise LabsError(
                "resume() came back without giving a function to foreachBatch, so there was nothing to kill; start the stream with "
                "writeStream.foreachBatch(...)."
            )
        outcome = "killed" if marker.exists() else "completed" if error is None else f"failed: {_name(error)}"
        if error is not None and outcome != "killed" and there:
            print(f"{name}: resume() failed with {_name(error)}. {_sentence(error)}")
        self.log.append({"act": name, "outcome": outcome, **self._state()})

    def _arguments(self) -> tuple[str, str, str, str]:
        names = (f"{self.lab.database}.{name}" for name in (self.table, self.quarantine))
        table, quarantine = names
        return str(self.source), str(self._checkpoint), table, quarantine

    @property
    def _checkpoint(self) -> Path:
        return self.checkpoint / "sales"

    def _state(self) -> dict[str, int]:
        planned = set(checkpoint_log.numbers(self._checkpoint / "offsets"))
        finished = planned & set(checkpoint_log.numbers(self._checkpoint / "commits"))
        return {
            "rows": _rows(self.lab, self.table).total(),
            "quarantined": _rows(self.lab, self.quarantine).total(),
            "finished": len(finished),
            "unfinished": len(planned - finished),
        }


def _rows(lab: Lab, name: str) -> Counter[tuple[tuple[str, str], ...]]:
    """The rows of a table and how often each is there. Null values are left out: a column of nulls is as good as none."""
    if not (lab.tables / name / "_delta_log").is_dir():
        return Counter()
    return Counter(
        tuple(sorted((column, repr(value)) for column, value in row.items() if value is not None))
        for row in delta_log.content(lab.path(name)).to_pylist()
    )


def _name(error: Exception) -> str:
    condition = getattr(error, "getCondition", lambda: None)()
    return str(condition or type(error).__name__)


def _sentence(error: Exception) -> str:
    """The line of an error that says most: the last one of a traceback that came along, or the first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    raised = [line for line in lines[1:] if re.match(r"[\w.]*(Error|Exception|Unsupported\w*)\b", line)]
    return (raised[-1] if raised else lines[0] if lines else "")[:300]
