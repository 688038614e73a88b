"""What clusters used, by the clock: rows with the columns that Databricks publishes for `system.billing.usage` and `system.compute.node_timeline`.

A spell is a time in which nothing about a cluster's machines changed. DBUs run from when a cluster runs until it is stopped; machines that idle in a
pool cost the cloud's price and no DBU, so they are rows of their own and not among the usage. Pure: no HTTP, no SQL.
"""

from __future__ import annotations

import uuid
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import takewhile
from typing import Any

from labs_lib.workspace.compute.specification import rate

HOUR, MINUTE = 3_600_000, 60_000
_EXACT = Decimal(1).scaleb(-18)  # usage_quantity is a DECIMAL(38,18)
_IDS = uuid.UUID("6f0c4a4e-6f52-5b8e-9a53-0d1d5b8d6f11")


@dataclass(frozen=True)
class Spell:
    """Milliseconds since 1970 UTC; `until` is None while it lasts. `busy` holds the times in which work was attached."""

    cluster_id: str
    since: int
    until: int | None
    driver: str
    worker: str
    workers: int
    owner: str
    engine: str | None = None
    source: str = "API"  # or UI, JOB
    tags: Mapping[str, str] = field(default_factory=dict)
    pool: str | None = None
    job_id: str | None = None
    run_id: str | None = None
    busy: tuple[tuple[int, int], ...] = ()


def usage_rows(spells: Iterable[Spell], since: int, until: int) -> Iterator[dict[str, Any]]:
    """A row for each cluster, hour and node type between two moments; quantities have eighteen digits, so that parts add up to the whole."""
    hours = ((each, *hour) for each in spells for hour in _steps(each, since, until, HOUR))
    for spell, begun, ended in hours:
        photon, job = spell.engine == "PHOTON", spell.source == "JOB"
        product = "JOBS" if job else "ALL_PURPOSE"
        for node_type, count in Counter([spell.driver] + [spell.worker] * spell.workers).items():
            quantity = count * rate(node_type, spell.engine) * (ended - begun) / HOUR
            yield {
                "record_id": str(uuid.uuid5(_IDS, f"{spell.cluster_id} {begun} {ended} {node_type}")),
                "sku_name": f"PREMIUM_{product}_COMPUTE" + ("_(PHOTON)" if photon else ""),
                "cloud": "AWS",
                "usage_start_time": _moment(begun),
                "usage_end_time": _moment(ended),
                "usage_date": _moment(begun).date(),
                "custom_tags": dict(spell.tags),
                "usage_unit": "DBU",
                "usage_quantity": quantity.quantize(_EXACT),
                "usage_metadata": {
                    **{
                        "cluster_id": spell.cluster_id,
                        "instance_pool_id": spell.pool,
                        "node_type": node_type,
                    },
                    **{"job_id": spell.job_id, "job_run_id": spell.run_id},
                },
                "identity_metadata": dict.fromkeys(("run_as", "owned_by", "created_by"), spell.owner),
                "record_type": "ORIGINAL",
                "ingestion_date": _moment(ended).date(),
                "billing_origin_product": product,
                "product_features": {
                    "is_photon": photon,
                    "is_serverless": False,
                    "jobs_tier": "CLASSIC" if job else None,
                },
                "usage_type": "COMPUTE_TIME",
            }


def node_rows(spells: Iterable[Spell], since: int, until: int) -> Iterator[dict[str, Any]]:
    """A row for each machine and minute. There is no machine to measure: `cpu_user_percent` is the share of the minute in which work was attached."""
    for spell in spells:
        machines = [
            {
                "cluster_id": spell.cluster_id,
                "instance_id": f"i-{uuid.uuid5(_IDS, f'{spell.cluster_id} {number}').hex[:17]}",
                "driver": number == 0,
                "node_type": spell.worker if number else spell.driver,
            }
            for number in range(spell.workers + 1)
        ]
        busy = deque(sorted(spell.busy))  # times that don't overlap: those that are over are left behind
        for begun, ended in _steps(spell, since, until, MINUTE):
            while busy and busy[0][1] <= begun:
                busy.popleft()
            at_work = takewhile(lambda time, end=ended: time[0] < end, busy)  # type: ignore[misc]
            used = sum(min(stop, ended) - max(start, begun) for start, stop in at_work)
            minute = {
                "start_time": _moment(begun),
                "end_time": _moment(ended),
                "cpu_user_percent": 100.0 * used / (ended - begun),
            }
            for machine in machines:
                yield {**machine, **minute}


def _steps(spell: Spell, since: int, until: int, step: int) -> Iterator[tuple[int, int]]:
    """A spell's time between two moments, cut at whole steps of the clock."""
    begun, ended = max(spell.since, since), until if spell.until is None else min(spell.until, until)
    while begun < ended:
        following = min(begun - begun % step + step, ended)
        yield begun, following
        begun = following


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
