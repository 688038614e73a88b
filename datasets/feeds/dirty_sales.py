"""Sales lines as JSON text in three arrivals, some of them bad, for exercise 2b.1: real transactions, damaged by the seed.

A good line is a JSON object with six keys: line_id, store_id, product_id, quantity (whole numbers), sales_value (dollars), sold_at
(ISO 8601, UTC). Each arrival has bad lines of every class in REASONS; some have two defects, and the earlier class counts. Some
lines that were damaged come once more, put right, in the same arrival.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import datasets
from datasets.variation import generator

ARRIVALS = 3
LINES = 90  # per arrival before some of them are damaged
SAMPLE = 0.01  # of the households; whatever scale a notebook loads the course's tables in
KEYS = ("line_id", "store_id", "product_id", "quantity", "sales_value", "sold_at")
# In the order in which they are judged: the first that applies is a line's reason.
REASONS = ("not_json", "missing_key", "wrong_type", "bad_time", "unknown_store", "out_of_range", "duplicate")
QUANTITIES = (1, 100)  # the range of a sound line, both ends included
VALUES = (0.0, 500.0)  # dollars, both ends included
PER_CLASS = (3, 7)  # bad lines of a class in an arrival: from the first to below the second

Record = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """A line of the feed: its text, and why it is bad (empty for a good one); `record` is what a good one says."""

    raw: str
    reason: str
    record: Record | None = None


def files(seed: int) -> dict[str, bytes]:
    """What arrives, by file name: `arrival-<number>.json`, from 1."""
    return {
        f"arrival-{number}.json": "".join(f"{line.raw}\n" for line in lines).encode()
        for number, lines in enumerate(arrivals(seed), start=1)
    }


@functools.cache
def arrivals(seed: int) -> tuple[tuple[Line, ...], ...]:
    """The lines of each arrival, in the order of the file. Raises ValueError if there is no such seed."""
    draw = generator(seed, "dirty sales")
    records = _records(seed, draw)
    stores = frozenset(datasets.build("stores", seed)["store_id"].to_pylist())
    damage: dict[str, Callable[[Record, bool, np.random.Generator], str]] = {
        "not_json": _not_json,
        "missing_key": _missing_key,
        "wrong_type": _wrong_type,
        "bad_time": _bad_time,
        "unknown_store": functools.partial(_unknown_store, stores),
        "out_of_range": _out_of_range,
    }
    made: list[tuple[Line, ...]] = []
    good_before: list[Line] = []
    for arrival in range(ARRIVALS):
        part = records[arrival * LINES : (arrival + 1) * LINES]
        lines: list[Line] = []
        resent: list[Record] = []
        for reason, damaged in damage.items():
            chosen = [part.pop() for _ in range(_count(draw))]
            lines += [Line(damaged(record, place == 0, draw), reason) for place, record in enumerate(chosen)]
            if reason in {"wrong_type", "out_of_range"}:
                resent.append(chosen[0])
        good = [Line(json.dumps(record), "", record) for record in [*part, *resent]]
        twice = [*_some(good, _count(draw), draw), *_some(good_before, _count(draw) if arrival else 0, draw)]
        lines += [*good, *(Line(line.raw, "duplicate") for line in twice)]
        made.append(tuple(lines[place] for place in draw.permutation(len(lines))))
        good_before += good
    return tuple(made)


def _records(seed: int, draw: np.random.Generator) -> list[Record]:
    """Sound lines: consecutive real sales in the ranges, with line numbers of their own."""
    sales = datasets.build("transactions", seed, SAMPLE).to_pandas()
    sales = sales[sales.quantity.between(*QUANTITIES) & sales.sales_value.between(0.01, VALUES[1])]
    number = ARRIVALS * LINES
    start = int(draw.integers(0, len(sales) - number))
    first = 1000 * int(draw.integers(1_000, 10_000))
    times = sales.transaction_timestamp.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    chosen = sales.assign(sold_at=times).iloc[start : start + number]
    return [
        {
            "line_id": first + place,
            "store_id": int(row.store_id),
            "product_id": int(row.product_id),
            "quantity": int(row.quantity),
            "sales_value": float(row.sales_value),
            "sold_at": row.sold_at,
        }
        for place, row in enumerate(chosen.itertuples())
    ]


def _count(draw: np.random.Generator) -> int:
    return int(draw.integers(*PER_CLASS))


def _some(lines: list[Line], number: int, draw: np.random.Generator) -> list[Line]:
    return [lines[place] for place in draw.choice(len(lines), number, replace=False)] if number else []


# Each takes a sound record, whether it is to have a second defect that a later class stands for, and a generator.


def _not_json(record: Record, both: bool, draw: np.random.Generator) -> str:
    text = json.dumps(record)
    kinds = [
        text[: int(draw.integers(12, len(text) - 1))],  # the writer died
        text[: int(draw.integers(12, len(text) - 1))],
        f"[{text}]",
        ",".join(map(str, record.values())),
        f"<html>502 Bad Gateway, request {record['line_id']}</html>",
    ]
    return kinds[int(draw.integers(len(kinds)))]


def _missing_key(record: Record, both: bool, draw: np.random.Generator) -> str:
    key = KEYS[int(draw.integers(len(KEYS)))]
    other = {"sold_at": "n/a"} if both else {}
    whole = record | other
    left_out = {name: value for name, value in whole.items() if name != key}
    return json.dumps(whole | {key: None} if draw.random() < 0.5 else left_out)


def _wrong_type(record: Record, both: bool, draw: np.random.Generator) -> str:
    quantity, value = record["quantity"], record["sales_value"]
    kinds = [
        {"quantity": "two"},
        {"quantity": f"{quantity} pc"},
        {"quantity": quantity + 0.5},
        {"sales_value": f"USD {value}"},
        {"sales_value": f"{value:.2f}".replace(".", ",")},
        {"store_id": "north"},
        {"product_id": "n/a"},
    ]
    other = {"sold_at": "n/a"} if both else {}
    return json.dumps(record | kinds[int(draw.integers(len(kinds)))] | other)


def _bad_time(record: Record, both: bool, draw: np.random.Generator) -> str:
    day, clock = record["sold_at"].split("T")
    year, month, date = day.split("-")
    kinds = [
        f"{year}-02-30T{clock}",
        f"{year}-13-{date}T{clock}",
        f"{day}T25{clock[2:]}",
        f"{date}.{month}.{year}",
        "n/a",
    ]
    other = {"quantity": 0} if both else {}
    return json.dumps(record | {"sold_at": kinds[int(draw.integers(len(kinds)))]} | other)


def _unknown_store(stores: frozenset[int], record: Record, both: bool, draw: np.random.Generator) -> str:
    unknown = max(stores) + int(draw.integers(1, 1000))
    other = {"sales_value": -record["sales_value"]} if both else {}
    return json.dumps(record | {"store_id": unknown} | other)


def _out_of_range(record: Record, both: bool, draw: np.random.Generator) -> str:
    kinds = [
        {"quantity": 0},
        {"quantity": -record["quantity"]},
        {"quantity": 1000 * record["quantity"]},
        {"sales_value": -record["sales_value"]},
        {"sales_value": round(1000 + record["sales_value"], 2)},
    ]
    return json.dumps(record | kinds[int(draw.integers(len(kinds)))])
