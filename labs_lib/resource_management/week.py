"""When a platform is asked for machines: start requests with the retailer's own pattern of hours and weekdays, drawn by seed."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from datasets import source
from datasets.variation import generator
from labs_lib.resource_management.company import RUNTIME as RUNTIME

HOURS = 168  # of a week
HOUR, MINUTE = 3_600_000, 60_000
MONDAY = 1_767_571_200_000  # 5 January 2026, 0:00 UTC
STARTS = 3000  # of clusters in a week


@dataclass(frozen=True)
class PoolBounds:
    """What the company wants of its pool: shares of the starts, machine-hours by machine-hour used, machines."""

    ready_share: float = 0.9
    ready_seconds: int = 60
    idle_share: float = 0.5
    machines: int = 140


BOUNDS = PoolBounds()


@functools.cache
def pattern() -> npt.NDArray[np.float64]:
    """The share of the retailer's sales lines in each hour of the week, Monday's first."""
    times = source.read("transactions", ["transaction_timestamp"]).transaction_timestamp
    counts = np.bincount(times.dt.dayofweek * 24 + times.dt.hour, minlength=HOURS).astype(float)
    return np.asarray(counts / counts.sum())


def moments(draw: np.random.Generator, count: int, weights: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """That many moments in ms from the first hour's begin, in order; `weights` are the hours'."""
    hours = draw.choice(len(weights), count, p=weights / weights.sum())
    return np.sort(hours * HOUR + draw.integers(0, HOUR, count))


def starts(seed: int, which: str) -> pd.DataFrame:
    """A week's start requests: `at` (ms since 1970 UTC), `machines` asked for, `minutes` that the cluster runs; `which` names the week.

    People and schedules ask when the retailer sells; a third of the load is nightly, in the small hours.
    """
    draw = generator(seed, f"starts {which}")
    nightly = np.tile(np.where((np.arange(24) >= 1) & (np.arange(24) < 5), 1.0, 0.0), 7)
    weights = 0.75 * pattern() + 0.25 * nightly / nightly.sum()
    count = int(STARTS * draw.uniform(0.97, 1.03))
    at = MONDAY + moments(draw, count, weights)
    minutes = np.clip(draw.lognormal(3.2, 0.5, count), 8, 120).round().astype(int)
    machines = draw.choice([2, 3, 4, 5], count, p=[0.4, 0.3, 0.2, 0.1])
    return pd.DataFrame({"at": at, "machines": machines, "minutes": minutes})
