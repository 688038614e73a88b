"""Another draw of a course table, on which a judge runs plans once more: rows that were not made from the table don't follow it.

The draw is the operating system's, made by each judge for itself: no notebook can have seen it, and no seed leads to it.
"""

from __future__ import annotations

import base64
import re
import secrets
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as types
import pyspark.sql.connect.proto as proto
from deltalake import DeltaTable, write_deltalake
from google.protobuf.message import Message

ROWS = 20_000


def redraw(source: Path, target: Path) -> None:
    """Write a Delta table to the new folder `target`: ROWS rows of the one at `source`, drawn with replacement, their amounts dealt anew.

    Amounts are the columns of fractions. Keys and dates stay together as they were in a row, so that what an answer collected of them
    before still fits, as do its own tables of what they are joined with. How often a row is there, and what it amounts to, is new.
    """
    draw = np.random.default_rng(secrets.randbits(128))
    parts = [pq.read_table(path) for path in DeltaTable(source).file_uris()]
    whole = pa.concat_tables(parts)
    drawn = whole.take(draw.integers(whole.num_rows, size=ROWS))
    for place, field in enumerate(drawn.schema):
        if types.is_floating(field.type):
            drawn = drawn.set_column(place, field, drawn[place].take(draw.permutation(ROWS)))
    write_deltalake(target, drawn)


def shape(plan: str) -> str:
    """A serialised plan as text without what differs each time that the same code makes it: numbers of its parts, lines of code."""
    message = proto.Plan.FromString(base64.b64decode(plan))
    pending: list[Message] = [message]
    while pending:
        part = pending.pop()
        if "origin" in part.DESCRIPTOR.fields_by_name:
            part.ClearField("origin")
        for field, value in part.ListFields():
            if field.message_type is None:
                continue
            if field.message_type.GetOptions().map_entry:
                pending += [each for each in value.values() if isinstance(each, Message)]
            else:
                pending += value if field.is_repeated else [value]
    numbers: dict[str, int] = {}
    return re.sub(
        r"\bplan_id: (\d+)",
        lambda found: f"plan_id: {numbers.setdefault(found[1], len(numbers))}",
        str(message),
    )
