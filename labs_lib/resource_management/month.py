"""A month's bill of a workspace that teams share: usage records, who worked on what, and made-up prices. All of it by seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from datasets.variation import generator
from labs_lib.resource_management.company import company
from labs_lib.resource_management.week import HOUR, MINUTE, pattern
from labs_lib.workspace.compute.billing import Spell, usage_rows

FIRST = date(2026, 3, 1)
DAYS = 31
START = 1_772_323_200_000  # its first moment, ms since 1970 UTC
SHARED = "shared"
DAY = 24 * HOUR
KEPT = (
    "record_id",
    "sku_name",
    "usage_start_time",
    "usage_end_time",
    "usage_date",
    "custom_tags",
    "usage_quantity",
    "record_type",
)
SKUS = ("PREMIUM_ALL_PURPOSE_COMPUTE", "PREMIUM_ALL_PURPOSE_COMPUTE_(PHOTON)", "PREMIUM_JOBS_COMPUTE")


@dataclass(frozen=True)
class Traits:
    """What a month has in it."""

    shared: bool = True
    untagged: bool = True
    corrected: bool = True
    new_prices: bool = True


ALL = Traits()


def month(seed: int, which: str, traits: Traits = ALL) -> dict[str, Any]:
    """A month up to a day in its last third, as plain data; `which` names the month.

    Returns:
        `usage`: records with columns of `system.billing.usage`, quantities and prices as text so that nothing is rounded. `work`: seconds that
        a team's queries ran on a shared cluster, by cluster and day. `nodes`: machine-minutes of a cluster and day, and how many of them something
        ran. `prices`: by SKU, from one moment to another (none for the last). `through`: the last day that has records; `days`: of the whole month.
    """
    draw = generator(seed, f"month {which}")
    through = int(draw.integers(20, 25))
    teams = list(company(seed).teams)
    spells = list(_spells(draw, teams, through, traits))
    rows = [_plain(row) for row in usage_rows(spells, START, START + through * DAY)]
    if traits.corrected:
        rows += list(_corrections(draw, rows))
    return {
        "usage": rows,
        "work": list(_work(draw, spells, teams)),
        "nodes": list(_nodes(draw, spells)),
        "prices": list(_prices(draw, traits)),
        "through": (FIRST + timedelta(days=through - 1)).isoformat(),
        "days": DAYS,
    }


def _spells(draw: np.random.Generator, teams: list[str], through: int, traits: Traits) -> Iterator[Spell]:
    """When which cluster ran: a team's own by day, its jobs by night, the shared one as the retailer sells."""
    for number, team in enumerate(teams):
        own = Spell(
            f"own-{number}",
            0,
            0,
            "m5.xlarge",
            "m5.xlarge",
            int(draw.integers(2, 6)),
            "owner",
            tags={"team": team},
        )
        job = Spell(
            f"job-{number}",
            0,
            0,
            "m5.xlarge",
            "r5.xlarge",
            int(draw.integers(2, 5)),
            "owner",
            source="JOB",
            tags={"team": team},
        )
        own = replace(own, engine="PHOTON" if number == 0 else None)
        for day in range(through):
            work = (FIRST + timedelta(days=day)).weekday() < 5
            if work:
                yield _at(own, day, 7 * 60 + int(draw.integers(0, 90)), int(draw.integers(240, 660)))
            yield _at(job, day, 60 + int(draw.integers(0, 60)), int(draw.integers(30, 150)))
    busy = pattern().reshape(7, 24)
    for day in range(through):
        weekday = (FIRST + timedelta(days=day)).weekday()
        length = int(600 * busy[weekday].sum() * 7)
        if traits.shared:
            yield _at(
                Spell("all-0", 0, 0, "r5.xlarge", "r5.xlarge", 4, "owner", tags={"team": SHARED}),
                day,
                8 * 60,
                length,
            )
        if traits.untagged and day % 3 == 0:
            yield _at(
                Spell("own-9", 0, 0, "m5.large", "m5.large", 2, "owner", tags={"project": "trial"}),
                day,
                13 * 60,
                int(draw.integers(60, 300)),
            )


def _at(spell: Spell, day: int, minute: int, length: int) -> Spell:
    since = START + day * DAY + minute * MINUTE
    return replace(spell, since=since, until=min(since + length * MINUTE, START + (day + 1) * DAY))


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    told = {name: row[name] for name in KEPT} | {"cluster_id": row["usage_metadata"]["cluster_id"]}
    return {name: value if isinstance(value, str | dict) else _text(value) for name, value in told.items()}


def _text(value: datetime | date | Decimal) -> str:
    return value.isoformat() if isinstance(value, date) else f"{value.normalize():f}"


def _corrections(draw: np.random.Generator, rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Some hours of each kind of cluster were billed wrongly: each is taken back, and stated anew with less."""
    kinds = sorted({row["cluster_id"] for row in rows})
    for cluster in kinds:
        mine = [row for row in rows if row["cluster_id"] == cluster]
        for index in draw.permutation(len(mine))[:2]:
            row = mine[int(index)]
            quantity = Decimal(row["usage_quantity"])
            again = (quantity * Decimal(str(round(float(draw.uniform(0.2, 0.7)), 3)))).quantize(
                Decimal(1).scaleb(-18)
            )
            yield {
                **row,
                "record_id": f"{row['record_id']}-r",
                "record_type": "RETRACTION",
                "usage_quantity": _text(-quantity),
            }
            yield {
                **row,
                "record_id": f"{row['record_id']}-s",
                "record_type": "RESTATEMENT",
                "usage_quantity": _text(again),
            }


def _work(draw: np.random.Generator, spells: list[Spell], teams: list[str]) -> Iterator[dict[str, Any]]:
    """Some days nobody worked on the shared cluster, some days one team did not."""
    for spell in spells:
        if spell.tags.get("team") != SHARED or draw.random() < 0.12:
            continue
        day = (FIRST + timedelta(days=(spell.since - START) // DAY)).isoformat()
        for team in teams:
            for _ in range(int(draw.integers(0, 4))):
                yield {
                    "cluster_id": spell.cluster_id,
                    "day": day,
                    "team": team,
                    "seconds": int(draw.integers(60, 9000)),
                }


def _nodes(draw: np.random.Generator, spells: list[Spell]) -> Iterator[dict[str, Any]]:
    for spell in spells:
        assert spell.until is not None
        minutes = (spell.until - spell.since) // MINUTE * (spell.workers + 1)
        share = 1.0 if spell.source == "JOB" else float(draw.uniform(0.25, 0.9))
        day = (FIRST + timedelta(days=(spell.since - START) // DAY)).isoformat()
        yield {
            "cluster_id": spell.cluster_id,
            "day": day,
            "machine_minutes": minutes,
            "busy_minutes": round(minutes * share),
        }


def _prices(draw: np.random.Generator, traits: Traits) -> Iterator[dict[str, Any]]:
    """Made up: what a DBU costs is between a company and its cloud. The structure is that of `system.billing.list_prices`."""
    changes = datetime.fromtimestamp((START + int(draw.integers(8, 15)) * DAY) / 1000, UTC).isoformat()
    for sku in SKUS:
        price = Decimal(int(draw.integers(1000, 9000))) / 10_000
        later = Decimal(int(draw.integers(1000, 9000))) / 10_000
        begin = datetime.fromtimestamp((START - 90 * DAY) / 1000, UTC).isoformat()
        end = changes if traits.new_prices else None
        yield {"sku_name": sku, "price_start_time": begin, "price_end_time": end, "price": str(price)}
        if traits.new_prices:
            yield {"sku_name": sku, "price_start_time": changes, "price_end_time": None, "price": str(later)}
