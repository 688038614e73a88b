"""A week on a pool: what its settings would have made of requests, by the arithmetic of the workspace's own pools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from labs_lib.resource_management.week import HOUR, MINUTE, RUNTIME
from labs_lib.workspace.compute.pools.capacity import Request, Settings, simulate


@dataclass(frozen=True)
class Replay:
    """What became of a week's starts. `waits` in seconds, in the order of the requests, NaN for one that a full pool refused."""

    waits: pd.Series
    refused: int
    idle_hours: float
    used_hours: float
    most_used: int

    def ready(self, seconds: float) -> float:
        """The share of all starts that waited no longer than that."""
        return float((self.waits <= seconds).mean())

    @property
    def idle_share(self) -> float:
        """Machine-hours idled by machine-hour used."""
        return self.idle_hours / self.used_hours if self.used_hours else float("inf")


def replay(pool: Mapping[str, Any], requests: pd.DataFrame) -> Replay:
    """Replay a week of `starts` on a pool with these settings, in the words of the pools interface."""
    settings = Settings(
        pool.get("min_idle_instances") or 0,
        pool.get("max_capacity"),
        pool.get("idle_instance_autotermination_minutes", 60),
    )
    preloaded = RUNTIME in (pool.get("preloaded_spark_versions") or [])
    columns = zip(*(requests[name].tolist() for name in ("at", "machines", "minutes")), strict=True)
    asked = [Request(at, machines, minutes * MINUTE, preloaded) for at, machines, minutes in columns]
    found = simulate(settings, asked, until=int(requests["at"].min()) + 168 * HOUR)
    waits = pd.Series(found.waits, dtype=float)
    used = float((requests["machines"] * requests["minutes"])[waits.notna()].sum()) / 60
    return Replay(waits, found.refused, found.idle_machine_hours, used, found.most_used)


def grid(requests: pd.DataFrame, idle: list[int], minutes: list[int], **pool: Any) -> pd.DataFrame:
    """A replay for each pair of settings: how many starts were ready within a minute, and what idled, by machine-hour used."""
    rows = []
    for least in idle:
        for each in minutes:
            sizes = {"min_idle_instances": least, "idle_instance_autotermination_minutes": each}
            found = replay({**pool, **sizes}, requests)
            rows.append((least, each, round(found.ready(60), 3), round(found.idle_share, 3)))
    return pd.DataFrame(rows, columns=["min_idle", "idle_minutes", "ready", "idle_share"]).replace(
        [np.inf], np.nan
    )
