"""Four nights of sales lines as files: event time from the real transactions, arrival by the seed.

Each night brings one file with what arrived that day. Most lines arrive within minutes. A store whose line is down keeps its
lines until it is up again, and a few baskets a day come in from tills that were off the net for hours or days.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import datasets
from datasets.variation import generator
from labs_lib.arguments import checked, plain_name
from labs_lib.errors import LabsError
from labs_lib.lab import Lab

NIGHTS = 4
SCHEMA = (
    "line_id LONG, event_time TIMESTAMP, store_id INT, basket_id LONG, product_id INT, quantity INT, "
    "sales_value DOUBLE, arrived_at TIMESTAMP"
)
COLUMNS = tuple(field.split()[0] for field in SCHEMA.split(", "))
USUAL_DELAY = 90.0  # seconds; mean of an exponential
OUTAGES = 0.25  # share of the stores whose line is down once
OUTAGE_HOURS = (3.0, 18.0)
LATE_BASKETS = 20  # a day; their delays are spread evenly on a logarithmic scale
LATE_HOURS = (0.5, 60.0)


@dataclass(frozen=True)
class SalesFeed:
    """A landing folder into which the nightly files of one seed's events come."""

    folder: Path
    seed: int
    schema: str = SCHEMA

    @checked
    def deliver(self, night: int) -> Path:
        """Put the file of one night (1 to 4) into the folder and return its path; what has come already is not written again.

        Raises LabsError if there is no such night.
        """
        if night not in range(1, NIGHTS + 1):
            raise LabsError(f"The feed has no night {night!r}; its nights are 1 to {NIGHTS}.")
        file = self.folder / f"night-{night}.json"
        if not file.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            scratch = self.folder / f".{file.name}"  # Spark reads no file whose name begins with a dot
            scratch.write_bytes(file_of(self.seed, night))
            os.replace(scratch, file)
        return file

    def arrivals(self) -> Iterator[int]:
        """The numbers of the nights, each once its file has come: the body of a loop over them is the nightly job."""
        for night in range(1, NIGHTS + 1):
            self.deliver(night)
            yield night


@checked
def sales_feed(lab: Lab, name: str) -> SalesFeed:
    """An empty landing folder `feeds/<name>` below the lab's folder; files that lay there go.

    Files are JSON lines with the columns of SCHEMA; `sales_value` is in dollars. Raises LabsError if the name is no plain word.
    """
    folder = lab.folder / "feeds" / plain_name("A feed", name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return SalesFeed(folder, lab.seed)


def night_of(seed: int, night: int) -> pd.DataFrame:
    """The lines that arrive in one night's file, with the columns of SCHEMA, in order of arrival."""
    lines = events(seed)
    return lines.loc[lines.night == night, list(COLUMNS)].reset_index(drop=True)


def file_of(seed: int, night: int) -> bytes:
    """What is in that night's file: a line of JSON for each line of sales."""
    lines = night_of(seed, night)
    text = lines.to_json(orient="records", lines=True, date_format="iso", date_unit="s")
    return str(text).encode()


@functools.lru_cache(maxsize=4)
def events(seed: int) -> pd.DataFrame:
    """All lines that arrive within the four nights: the columns of SCHEMA and `night`, in order of arrival. Not to be changed.

    Times are in UTC and to the second. Lines still under way after the last night are left out, as they would be in life.
    """
    sold = datasets.build("transactions", seed, 1.0)
    columns = ["transaction_timestamp", "store_id", "basket_id", "product_id", "quantity", "sales_value"]
    lines = sold.select(columns).to_pandas().rename(columns={"transaction_timestamp": "event_time"})
    draw = generator(seed, "sales events")
    first_day = lines.event_time.min().normalize()
    start = first_day + pd.Timedelta(days=1 + 7 * int(draw.integers(8, 45)))  # a Monday
    lines = lines[lines.event_time.between(start, start + pd.Timedelta(days=NIGHTS), inclusive="left")]
    lines = lines.assign(event_time=lines.event_time.dt.floor("s"))
    lines = lines.sort_values(["event_time", "basket_id", "product_id", "sales_value"], ignore_index=True)
    lines = lines.assign(arrived_at=_arrival(lines, start, draw))
    lines = lines.assign(night=1 + (lines.arrived_at - start) // pd.Timedelta(days=1))
    lines = lines[lines.night <= NIGHTS].sort_values(["arrived_at", "event_time"], kind="stable")
    lines = lines.reset_index(drop=True)
    return lines.assign(line_id=np.arange(1, len(lines) + 1))[[*COLUMNS, "night"]]


def _arrival(lines: pd.DataFrame, start: pd.Timestamp, draw: np.random.Generator) -> pd.Series:
    """When each line arrives; the lines of a basket arrive together."""
    baskets = lines.groupby("basket_id", sort=True).agg(
        time=("event_time", "max"), store_id=("store_id", "first")
    )
    arrival = baskets.time + _seconds(draw.exponential(USUAL_DELAY, len(baskets)))
    stores = np.unique(baskets.store_id)
    down = draw.permutation(stores)[: round(OUTAGES * len(stores))]
    for store, begins, lasts in zip(
        down,
        draw.uniform(0, NIGHTS * 24, len(down)),
        draw.uniform(*OUTAGE_HOURS, len(down)),
        strict=True,
    ):
        since = start + pd.Timedelta(hours=begins)
        until = since + pd.Timedelta(hours=lasts)
        held = (baskets.store_id == store) & arrival.between(since, until)
        arrival = arrival.where(~held, until.ceil("s"))
    low, high = np.log(LATE_HOURS)
    for day in range(NIGHTS):
        noon = start + pd.Timedelta(days=day, hours=12)
        that_day = np.flatnonzero((baskets.time - noon).abs() < pd.Timedelta(hours=12))
        late = draw.permutation(that_day)[:LATE_BASKETS]
        delays = np.exp(np.linspace(low, high, len(late))) * 3600
        arrival.iloc[late] = baskets.time.iloc[late] + _seconds(delays)
    return lines.basket_id.map(arrival)


def _seconds(numbers: np.ndarray) -> pd.TimedeltaIndex:
    return pd.to_timedelta(np.ceil(numbers), unit="s")
