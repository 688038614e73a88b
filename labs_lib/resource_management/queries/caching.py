"""A week of queries and writes on blocks that may be cached, played on a policy with a budget of bytes.

A block is a piece of work that several queries begin with. To make it, its files are read; a cached one reads none. A write to a table
makes every cached block over it stale, and nobody tells the cache.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets import variation
from labs_lib.errors import LabsError

MB = 2**20
HOURS = 24 * 7
# The tables below the blocks, with how often each is written in a week, from and to.
WRITES = {"sales": (150, 260), "stock": (12, 24), "products": (1, 4), "households": (5, 9)}
BLOCKS = {
    "open baskets": ("sales",),
    "sales by department": ("sales", "products"),
    "stock by store": ("stock",),
    "stock by brand": ("stock", "products"),
    "product list": ("products",),
    "household groups": ("households",),
    "coupon rights": ("households", "products"),
}
BUDGET = 0.45  # of what all blocks take together

Block = dict[str, Any]  # bytes, files, tables
Event = dict[str, Any]  # hour, and query (a block's name) or write (a table's)
Look = Callable[[Event, list[str]], Any]


@dataclass(frozen=True)
class Week:
    """What a policy is given, `blocks`, `budget` and last week's `history`, and the `events` that it then has to live with."""

    blocks: dict[str, Block]
    budget: int
    history: list[Event]
    events: list[Event]


@dataclass
class Played:
    """What became of a week: files that queries and caching read, what all queries would read without a cache, hits, stale answers.

    `bytes` is the most that was cached at once.
    """

    without: int = 0
    read: int = 0
    caching: int = 0
    queries: int = 0
    hits: int = 0
    stale: int = 0
    bytes: int = 0
    cached: dict[str, int] = field(default_factory=dict)  # times that each block was cached

    @property
    def saved(self) -> int:
        """Files that were not read because of the cache, less those read to fill it."""
        return self.without - self.read - self.caching


def cache_week(seed: int, draw: str = "") -> Week:
    """A week under a seed; other weeks of the same shop have other names `draw`."""
    rng = variation.generator(seed, f"cache blocks {draw}")
    blocks: dict[str, Block] = {
        name: {
            "bytes": int(rng.integers(30, 240)) * MB,
            "files": int(rng.integers(20, 160)),
            "tables": list(tables),
        }
        for name, tables in BLOCKS.items()
    }
    # The block that is asked most, small and of many files, is the one whose table is written all the time: a trap.
    blocks["open baskets"] |= {"bytes": int(rng.integers(25, 50)) * MB, "files": int(rng.integers(100, 160))}
    uses = {name: int(rng.integers(20, 90)) for name in BLOCKS} | {
        "open baskets": int(rng.integers(120, 160))
    }
    writes = {table: int(rng.integers(low, high)) for table, (low, high) in WRITES.items()}
    budget = int(BUDGET * sum(block["bytes"] for block in blocks.values()))
    return Week(blocks, budget, _events(rng, uses, writes), _events(rng, uses, writes))


def _events(rng: Any, uses: Mapping[str, int], writes: Mapping[str, int]) -> list[Event]:
    drawn = [
        (float(hour), {what: name})
        for what, counts in (("query", uses), ("write", writes))
        for name, often in counts.items()
        for hour in rng.uniform(0, HOURS, size=int(rng.poisson(often)))
    ]
    return [{"hour": round(hour, 3), **event} for hour, event in sorted(drawn, key=lambda each: each[0])]


def replay_week(policy: type | Callable[..., Any], week: Week) -> Played:
    """A week with a policy of this process: `policy(budget, blocks, history)`, then `look(event, cached)` for each event."""
    made = policy(week.budget, week.blocks, week.history)
    return play(week, made.look)


def play(week: Week, look: Look) -> Played:
    """A week with what is asked before each query and after each write. Raises LabsError for an answer that can't be followed."""
    played = Played()
    version = dict.fromkeys((table for block in week.blocks.values() for table in block["tables"]), 0)
    cached: dict[str, tuple[int, ...]] = {}  # with the versions of its tables that each block holds

    def now(name: str) -> tuple[int, ...]:
        return tuple(version[table] for table in week.blocks[name]["tables"])

    for event in week.events:
        if "write" in event:
            version[event["write"]] += 1
        drop, cache = acts(look(dict(event), sorted(cached)), week.blocks)
        for name in drop:
            cached.pop(name, None)
        for name in cache:
            cached[name] = now(name)
            played.caching += week.blocks[name]["files"]
            played.cached[name] = played.cached.get(name, 0) + 1
        played.bytes = max(played.bytes, sum(week.blocks[name]["bytes"] for name in cached))
        if "query" in event:
            name = event["query"]
            played.queries += 1
            played.without += week.blocks[name]["files"]
            if name in cached:
                played.hits += 1
                played.stale += cached[name] != now(name)
            else:
                played.read += week.blocks[name]["files"]
    return played


def acts(told: Any, blocks: Iterable[str]) -> tuple[list[str], list[str]]:
    """What `look` wants to be dropped and cached. Raises LabsError if it isn't said by names of blocks."""
    known = set(blocks)
    told = {} if told is None else told
    if not isinstance(told, Mapping) or not set(told) <= {"drop", "cache"}:
        raise LabsError("`look` returns something else than a dict with drop and cache.")
    lists = [told.get(key) or [] for key in ("drop", "cache")]
    for names in lists:
        if not isinstance(names, list | tuple) or not set(map(str, names)) <= known:
            raise LabsError("`look` names a block that there isn't.")
    return list(lists[0]), list(lists[1])


def best(week: Week) -> Played:
    """The most that a fixed choice of blocks saves in that week, known beforehand: cached when asked for, dropped when written to."""
    found = Played()
    names = sorted(week.blocks)
    for size in range(1, len(names) + 1):
        for chosen in itertools.combinations(names, size):
            if sum(week.blocks[name]["bytes"] for name in chosen) <= week.budget:
                played = play(week, _lazy(week, chosen))
                found = max(found, played, key=lambda each: each.saved)
    return found


def _lazy(week: Week, chosen: Sequence[str]) -> Look:
    def look(event: Event, cached: list[str]) -> dict[str, list[str]]:
        if "write" in event:
            return {"drop": [name for name in cached if event["write"] in week.blocks[name]["tables"]]}
        name = event["query"]
        return {"cache": [name] if name in chosen and name not in cached else []}

    return look
