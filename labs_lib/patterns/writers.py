"""Two writers at once, in an order that does not depend on luck.

A Delta transaction begins when a command starts, and commits after its job. The slow writer's rows come from a job that waits
for a knock on a socket of this process; while it waits, the quick writer runs from beginning to end.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as WaitedTooLong
from dataclasses import dataclass
from typing import cast

import filelock
import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql.connect.dataframe import DataFrame
from pyspark.sql.connect.session import SparkSession

from labs_lib import settings
from labs_lib.arguments import checked
from labs_lib.errors import LabsError
from labs_lib.lab import Lab

QUICK_LIMIT = (
    30.0  # seconds: a quick writer that takes longer waits for the slow one, as one that wants its lock does
)
HELD_LIMIT = 120.0  # seconds that a held job waits at most, should this process be gone
TURN_LIMIT = 600.0  # seconds that a call waits for those of other notebooks

Write = Callable[[DataFrame], object]


@dataclass(frozen=True)
class Outcome:
    """How a write ended: `error` is None if it came through."""

    error: Exception | None = None

    @property
    def accepted(self) -> bool:
        return self.error is None

    def __str__(self) -> str:
        """`accepted`, or the error's name: Spark's error condition where there is one, else the exception's type."""
        if isinstance(self.error, PySparkException) and (condition := self.error.getCondition()):
            return str(condition).split(".")[0]
        return type(self.error).__name__ if self.error else "accepted"


def attempt(write: Write, rows: DataFrame) -> Outcome:
    """Call a writer and tell how it ended, whatever it raises."""
    try:
        write(rows)
    except Exception as error:
        return Outcome(error)
    return Outcome()


@contextlib.contextmanager
def own_session(lab: Lab) -> Iterator[SparkSession]:
    """A session of a writer's own with the lab's database and settings, as another process would have it."""
    session = cast(SparkSession, lab.spark.cloneSession())
    session.release_session_on_close = True  # Spark 4.2's cloneSession leaves out what stop() asks for
    try:
        yield session
    finally:
        with contextlib.suppress(PySparkException):
            session.stop()


@checked
def interleave(lab: Lab, slow: Write, quick: Write, rows: pa.Table) -> tuple[Outcome, Outcome]:
    """Run `slow(frame)`, and the whole of `quick(frame)` while the slow one's first job over its frame is running.

    Each gets the same rows as a DataFrame in a session of its own. Returns how the two ended, the slow one first. A slow writer that never
    reads its frame runs before the quick one. Notebooks on one server take turns, as two held jobs would take both of its cores. Raises
    LabsError if a writer is no function, there are no rows, or the turn doesn't come.
    """
    if not rows.num_rows:
        raise LabsError("interleave needs rows: over none there is no job that could be held.")
    with _turn(), own_session(lab) as first, own_session(lab) as second, ThreadPoolExecutor(2) as pool:
        with socket.create_server(("127.0.0.1", 0)) as door:
            address = door.getsockname()
            waiting = pool.submit(attempt, slow, held(_frame(first, rows), address))
            waiting.add_done_callback(lambda _: _knock(address))  # one that ends without a job
            visitor, _ = door.accept()
            passing = pool.submit(attempt, quick, _frame(second, rows))
            with visitor:  # leaving the block lets the job go on; the closed door lets later ones pass
                _wait(passing, QUICK_LIMIT)
        return waiting.result(), passing.result()


@contextlib.contextmanager
def _turn() -> Iterator[None]:
    settings.home().mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(settings.home() / ".interleave.lock", timeout=TURN_LIMIT):
            yield
    except filelock.Timeout:
        raise LabsError(
            f"Another call of interleave has been going on for {TURN_LIMIT:.0f} s; stop the notebook that made it, or don't call it from a writer."
        ) from None


def held(frame: DataFrame, address: tuple[str, int]) -> DataFrame:
    """The same rows, out of a job that connects to that address and goes on when the connection is closed.

    Where nobody listens any more it goes on at once.
    """

    def wait(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with contextlib.suppress(OSError), socket.create_connection(address, HELD_LIMIT) as visit:
            visit.recv(1)
        yield from batches

    return cast(DataFrame, frame.coalesce(1).mapInArrow(wait, frame.schema))


def _frame(session: SparkSession, rows: pa.Table) -> DataFrame:
    return cast(DataFrame, session.createDataFrame(rows))


def _wait(future: Future[Outcome], seconds: float) -> None:
    with contextlib.suppress(WaitedTooLong):
        future.result(seconds)


def _knock(address: tuple[str, int]) -> None:
    with contextlib.suppress(OSError), socket.create_connection(address):
        pass
