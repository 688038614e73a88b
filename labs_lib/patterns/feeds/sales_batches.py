"""Three batches of sales lines for exercise 2b.2: real transactions with defects by the seed; the third also lacks line numbers."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
import pyarrow as pa

import datasets
from datasets.variation import generator
from labs_lib.arguments import checked
from labs_lib.errors import LabsError
from labs_lib.lab import Lab

BATCHES = 3
LINES = 120  # per batch
SAMPLE = 0.01  # of the households; whatever scale a notebook loads the course's tables in
USUAL_QUANTITIES = (1, 24)  # both ends included
LANDING = "sales_landing"  # the table that holds the batch that came last
SCHEMA = pa.schema(
    [
        ("line_id", pa.int64()),
        ("store_id", pa.int32()),
        ("product_id", pa.int32()),
        ("quantity", pa.int32()),
        ("sales_value", pa.float64()),  # dollars
        ("transaction_date", pa.date32()),
    ]
)


@functools.cache
def batches(seed: int) -> dict[int, pa.Table]:
    """The batches by number, from 1, in SCHEMA. Raises ValueError if there is no such seed.

    In each some lines have a product that `products` does not know, some a negative value or none, some an unusual quantity or
    none, and some two of these. In the last one some have no line_id.
    """
    draw = generator(seed, "sales batches")
    known = datasets.build("products", seed).to_pandas().dropna(subset="department")
    products = known.product_id.to_numpy()
    sales = datasets.build("transactions", seed, SAMPLE).to_pandas()
    sound = (
        sales.quantity.between(*USUAL_QUANTITIES) & (sales.sales_value > 0) & sales.product_id.isin(products)
    )
    sales = sales[sound]
    start = int(draw.integers(0, len(sales) - BATCHES * LINES))
    first = 1000 * int(draw.integers(1_000, 10_000))
    made = {}
    for number in range(1, BATCHES + 1):
        offset = (number - 1) * LINES
        lines = sales.iloc[start + offset : start + offset + LINES].reset_index(drop=True)
        lines = lines.assign(line_id=np.arange(first + offset, first + offset + LINES))[list(SCHEMA.names)]
        damaged = _damaged(lines, int(products.max()), number == BATCHES, draw)
        made[number] = pa.Table.from_pandas(damaged, schema=SCHEMA, preserve_index=False)
    return made


@checked
def land(lab: Lab, number: int) -> None:
    """Make batch `number` (1 to 3) the content of the table `sales_landing`. Raises LabsError if there is no such batch."""
    if number not in range(1, BATCHES + 1):
        raise LabsError(f"There is no batch {number!r}; there are 1 to {BATCHES}.")
    frame = lab.spark.createDataFrame(batches(lab.seed)[number])
    frame.write.mode("overwrite").option("overwriteSchema", "true").saveAsTable(LANDING)


def _damaged(
    lines: pd.DataFrame, last_product: int, unnumbered: bool, draw: np.random.Generator
) -> pd.DataFrame:
    order = iter(draw.permutation(len(lines)))

    def some(low: int, high: int) -> list[int]:
        return [int(next(order)) for _ in range(int(draw.integers(low, high)))]

    lines = lines.astype(
        {"line_id": "Int64", "product_id": "Int64", "quantity": "Int64", "sales_value": "Float64"}
    )
    unknown, negative, valueless = some(3, 8), some(2, 6), some(2, 5)
    large, uncounted, both = some(3, 7), some(2, 6), some(2, 4)
    lines.loc[unknown + both, "product_id"] = last_product + draw.integers(1, 1000, len(unknown + both))
    lines.loc[negative + both, "sales_value"] *= -1
    lines.loc[valueless, "sales_value"] = pd.NA
    lines.loc[large, "quantity"] *= 100
    lines.loc[[*uncounted, both[0]], "quantity"] = pd.NA
    if unnumbered:
        lines.loc[[*some(2, 5), unknown[0]], "line_id"] = pd.NA
    return lines
