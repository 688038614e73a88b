"""Deliveries of sales batches to a learner's function, as a queue makes them: each at least once, in no promised order.

The failures are the engine's own: a table refuses a batch by a CHECK constraint, two writers meet in one table.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import pandas as pd
from pyspark.errors import PySparkException
from pyspark.sql.connect.dataframe import DataFrame
from pyspark.sql.connect.session import SparkSession

from labs_lib.arguments import callable_with
from labs_lib.errors import LabsError, first_line
from labs_lib.lab import Lab
from labs_lib.patterns.feeds.deliveries import batches, stores_of
from labs_lib.patterns.writers import Outcome, attempt, interleave, own_session

LOG, TOTALS = "sales_log", "store_totals"
SCHEMAS = {
    LOG: "line_id BIGINT, store_id INT, product_id INT, quantity INT, sales_value DOUBLE, transaction_date DATE",
    TOTALS: "store_id INT, lines BIGINT, sales DOUBLE",
}
ATTEMPTS = 3  # deliveries of one batch, after which the queue gives up

WriteBatch = Callable[[DataFrame, int], object]


@dataclass(frozen=True)
class Delivery:
    """One delivery of a batch, what was special about it, and how it ended."""

    batch: int
    what: str
    outcome: str


def play_deliveries(lab: Lab, write_batch: WriteBatch) -> pd.DataFrame:
    """Lay empty tables `sales_log` and `store_totals` and deliver four batches to `write_batch(batch, batch_id)`.

    A delivery counts as accepted when the function returns, and comes again, perhaps after others, when it raises. `batch` is a DataFrame
    (columns as in `sales_log`) in a Spark session of the writer's own; `batch_id` is an int. Returns the deliveries in order: batch,
    delivery, outcome. Raises LabsError if `write_batch` is no function, or if a batch that nothing stands in the way of is refused three times.
    """
    callable_with(write_batch, "write_batch", "batch", "batch_id")
    lab.drop(*SCHEMAS)
    for name, schema in SCHEMAS.items():
        lab.spark.sql(f"CREATE TABLE {name} ({schema})")
    feed = batches(lab.seed)
    made: list[Delivery] = []
    with own_session(lab) as session:

        def deliver(batch_id: int, what: str) -> Outcome:
            frame = cast(DataFrame, session.createDataFrame(feed[batch_id]))
            outcome = attempt(lambda rows: write_batch(rows, batch_id), frame)
            made.append(Delivery(batch_id, what, str(outcome)))
            return outcome

        def deliver_until_accepted(batch_id: int, what: str) -> None:
            for _ in range(ATTEMPTS):
                outcome = deliver(batch_id, what)
                if outcome.error is None:
                    return
                error = outcome.error
            raise LabsError(
                f"Batch {batch_id} was delivered {ATTEMPTS} times and refused each time, with nothing in its way; "
                f"the last error was {outcome}: {first_line(error)}"
            ) from error

        deliver_until_accepted(1, "the first")
        deliver_until_accepted(1, "again: the acknowledgement was lost")
        with _refusing(session, TOTALS, f"store_id <> {min(stores_of(feed[2]) - stores_of(feed[1]))}"):
            second = deliver(2, f"{TOTALS} refuses it")
        with _refusing(session, LOG, f"line_id <> {feed[3]['line_id'][0]}"):
            third = deliver(3, f"{LOG} refuses it")
        if not third.accepted:
            deliver_until_accepted(3, "again")
        if not second.accepted:
            deliver_until_accepted(2, "again, after batch 3")

        def write(rows: DataFrame) -> object:
            return write_batch(rows, 4)

        slow, quick = interleave(lab, write, write, feed[4])
        made.append(Delivery(4, "by two writers at once: the quick one", str(quick)))
        made.append(Delivery(4, "by two writers at once: the slow one", str(slow)))
        if not (slow.accepted and quick.accepted):
            deliver_until_accepted(4, "again")
    return pd.DataFrame(
        {
            "batch": [delivery.batch for delivery in made],
            "delivery": [delivery.what for delivery in made],
            "outcome": [delivery.outcome for delivery in made],
        }
    )


@contextlib.contextmanager
def _refusing(session: SparkSession, table: str, condition: str) -> Iterator[None]:
    """The table refuses rows that break a condition, for a `with` block."""
    try:
        session.sql(f"ALTER TABLE {table} ADD CONSTRAINT closed CHECK ({condition})")
    except PySparkException as error:
        raise LabsError(
            f"{table} is not the table that was laid for the deliveries any more: {first_line(error)} "
            "Leave its columns as they are; write_batch only adds to them."
        ) from None
    try:
        yield
    finally:
        session.sql(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS closed")
