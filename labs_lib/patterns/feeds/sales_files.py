"""Deliveries of sales lines as JSON files, some of them damaged, some sent twice, the later ones with a changed schema.

The lines are real ones of the transactions, a hundredth of the households whatever the scale; everything else follows from the
seed. Fields of a line: line_id, basket_id, store_id, product_id (whole numbers), quantity (a number), sales_value (a number),
sold_on (text, YYYY-MM-DD); in later deliveries also the text field `Feed.new_column`, and quantities of goods by weight.
"""

from __future__ import annotations

import functools
import gzip
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import datasets
from datasets import variation
from labs_lib.arguments import checked, plain_name
from labs_lib.errors import LabsError
from labs_lib.lab import Lab

FILES = 7
CHANGED_FROM = 6  # number of the first delivery with the new schema
NEW_COLUMNS = ("till", "terminal", "checkout", "lane", "cashier", "register")
SCHEMA = pa.schema(
    {
        "line_id": pa.int64(),
        "basket_id": pa.int64(),
        "store_id": pa.int64(),
        "product_id": pa.int64(),
        "quantity": pa.float64(),
        "sales_value": pa.float64(),
        "sold_on": pa.string(),
    }
)


@dataclass(frozen=True)
class Delivery:
    """One file as the source meant it: its name, and its text, a JSON object a line."""

    name: str
    text: str

    @property
    def rows(self) -> int:
        return self.text.count("\n")

    def write(self, folder: Path, cut: bool = False) -> None:
        """Put the file into a folder, whole or broken off in the middle of a line; no reader sees it half written."""
        content = self.text.encode()
        if self.name.endswith(".gz"):
            content = gzip.compress(content, mtime=0)
            content = content[: len(content) // 2] if cut else content
        elif cut:
            content = content[: content.rindex(b'"product_id"', 0, len(content) // 2)]
        folder.mkdir(parents=True, exist_ok=True)
        scratch = folder / f".{self.name}.part"  # readers pass over names with a dot in front
        scratch.write_bytes(content)
        scratch.rename(folder / self.name)

    def again(self) -> Delivery:
        """The same content under another name, as a source sends it a second time."""
        stem, ending = self.name.split(".", 1)
        return Delivery(f"{stem}_again.{ending}", self.text)


@dataclass(frozen=True)
class Feed:
    """All deliveries of a seed in their order, and which of the third to the fifth arrives whole, which ones broken off."""

    deliveries: tuple[Delivery, ...]
    sound: Delivery
    cut: tuple[Delivery, Delivery]
    new_column: str


@functools.cache
def feed(seed: int) -> Feed:
    """The deliveries of a seed."""
    draw = variation.generator(seed, "deliveries")
    sizes = draw.integers(150, 300, FILES)
    lines = datasets.build("transactions", seed, 0.01).slice(0, int(sizes.sum())).to_pylist()
    new_column = str(draw.choice(NEW_COLUMNS))
    third = 3 + draw.permutation(3)  # numbers of: the sound one, the broken gzip, the broken text
    packed = {1, int(third[1]), FILES} | ({int(third[0])} if draw.random() < 0.5 else set())
    deliveries = []
    ends = np.cumsum(sizes)
    for number, (start, end) in enumerate(zip(ends - sizes, ends, strict=True), 1):
        changed = new_column if number >= CHANGED_FROM else ""
        name = f"sales_{number:02}.json" + (".gz" if number in packed else "")
        deliveries.append(Delivery(name, _text(lines[start:end], int(start) + 1, changed, draw)))
    sound, *cut = (deliveries[number - 1] for number in third)
    return Feed(tuple(deliveries), sound, (cut[0], cut[1]), new_column)


@checked
def lay(lab: Lab, name: str, numbers: Sequence[int] = (), broken: bool = False, fresh: bool = False) -> Path:
    """Put deliveries of the lab's seed into the folder `feeds/<name>` of the lab, for a lesson; return that folder.

    `numbers` are those of whole ones, from 1 on; `broken` adds a compressed one that broke off; `fresh` empties the folder first.
    Raises LabsError if the name is no plain word or there is no such delivery.
    """
    plain_name("A folder of deliveries", name)
    unknown = [number for number in numbers if number not in range(1, FILES + 1)]
    if unknown:
        raise LabsError(f"There is no delivery {unknown[0]!r}; there are 1 to {FILES}.")
    folder = lab.folder / "feeds" / name
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    made = feed(lab.seed)
    for number in numbers:
        made.deliveries[number - 1].write(folder)
    if broken:
        made.cut[0].write(folder, cut=True)
    return folder


def _text(lines: list[dict[str, Any]], first: int, new_column: str, draw: np.random.Generator) -> str:
    """The lines as JSON, numbered from `first` on; with the new column and goods by weight if the column has a name."""
    records = []
    for number, line in enumerate(lines, first):
        kept = ("basket_id", "store_id", "product_id", "quantity", "sales_value")
        record = {"line_id": number, **{name: line[name] for name in kept}}
        record["sold_on"] = str(line["transaction_date"])
        if new_column:
            if draw.random() < 0.4:
                record["quantity"] = int(draw.integers(100, 3000)) / 1000  # kilograms
            record[new_column] = f"{new_column[0].upper()}{int(draw.integers(1, 9))}"
        records.append(json.dumps(record))
    return "".join(f"{record}\n" for record in records)
