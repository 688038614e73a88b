"""Batches of sales lines for exercise 2b.4: real transactions of a few households, by seed."""

from __future__ import annotations

import functools

import numpy as np
import pyarrow as pa

import datasets
from datasets.variation import generator

BATCHES = 4
LINES = 150  # per batch
SAMPLE = 0.01  # of the households; whatever scale a notebook loads the course's tables in
COLUMNS = ("line_id", "store_id", "product_id", "quantity", "sales_value", "transaction_date")


@functools.cache
def batches(seed: int) -> dict[int, pa.Table]:
    """Four batches by number, from 1: consecutive stretches of the sales under a seed. The second has a store that the first has not.

    Columns: line_id long, unique over all batches; store_id int, product_id int, quantity int, sales_value double (dollars),
    transaction_date date. Raises ValueError if there is no such seed.
    """
    lines = datasets.build("transactions", seed, SAMPLE)
    number = BATCHES * LINES
    draw = generator(seed, "deliveries")
    while True:
        start = int(draw.integers(0, lines.num_rows - number))
        chosen = lines.slice(start, number).select([name for name in COLUMNS if name != "line_id"])
        identifiers = np.arange(number, dtype=np.int64) + 10_000 * int(draw.integers(100, 1000))
        numbered = chosen.add_column(0, "line_id", pa.array(identifiers)).combine_chunks()
        feed = {batch: numbered.slice((batch - 1) * LINES, LINES) for batch in range(1, BATCHES + 1)}
        if stores_of(feed[2]) - stores_of(feed[1]):
            return feed


def stores_of(batch: pa.Table) -> set[int]:
    """The stores that a batch has lines of."""
    return set(batch["store_id"].to_pylist())
