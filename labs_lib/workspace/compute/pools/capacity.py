"""A pool's machines: who waits for one, which idle, when one is let go. Pure: the service's pools and a simulated week go by the same arithmetic.

Source: "Pool configuration reference" (docs.databricks.com/compute/pools). A cluster's machines come from the idle ones; where these don't
suffice, from those that are being launched, then from new launches, up to `max_capacity`, which counts idle and used ones. Machines that are given
back idle. What idles longer than `idle_minutes` is let go, but never below `min_idle`, which is filled up again.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field

MINUTE = 60_000


@dataclass(frozen=True)
class Timing:
    """How long a machine takes, in ms: to be had of the cloud, to start, to fetch a runtime image that wasn't preloaded."""

    launch: int
    boot: int
    image: int


CLOUD = Timing(240_000, 30_000, 60_000)  # about what AWS and Databricks need
LIVE = Timing(2_000, 500, 500)  # the workspace's own, so that nobody waits for minutes at a laptop


@dataclass(frozen=True)
class Settings:
    """What a pool is told. No `max_capacity` means no limit."""

    min_idle: int = 0
    max_capacity: int | None = None
    idle_minutes: int = 60


class Full(Exception):
    """The pool can't give that many machines: `free` are left of `settings.max_capacity`."""

    def __init__(self, asked: int, free: int) -> None:
        super().__init__(f"{asked} asked for, {free} free")
        self.asked, self.free = asked, free


@dataclass
class Machines:
    """A pool at the moment `at` (ms). `spells` collects the idle times that ended, as (since, until)."""

    settings: Settings
    launch: int
    at: int
    used: int = 0
    idle: list[int] = field(default_factory=list)  # since when each idles, oldest first
    coming: list[int] = field(default_factory=list)  # when each that nobody asked for will be there
    arriving: list[int] = field(default_factory=list)  # when each that a cluster waits for will be there
    spells: list[tuple[int, int]] = field(default_factory=list)

    @property
    def free(self) -> int | None:
        """How many more machines clusters can get, idle ones among them; None for no limit."""
        most = self.settings.max_capacity
        return None if most is None else max(most - self.used, 0)

    def due(self) -> int | None:
        """When something next happens by itself."""
        moments = self.coming[:1] + self.arriving[:1]
        if len(self.idle) > self.settings.min_idle:
            moments.append(max(self.idle[0] + self.settings.idle_minutes * MINUTE, self.at))
        return min(moments, default=None)

    def advance(self, now: int) -> None:
        """Let happen what is due by then: machines that come, and those that idled long enough."""
        self._fill_up()
        while (moment := self.due()) is not None and moment <= now:
            self.at = max(self.at, moment)
            if self.arriving[:1] == [moment]:
                self.arriving.pop(0)
            elif self.coming[:1] == [moment]:
                self.idle.append(self.coming.pop(0))
            else:
                self.spells.append((self.idle.pop(0), moment))
            self._fill_up()
        self.at = max(self.at, now)

    def take(self, count: int, now: int) -> int:
        """Give a cluster machines; returns when the last of them is there (ms). Raises Full, and gives none."""
        self.advance(now)
        if self.free is not None and count > self.free:
            raise Full(count, self.free)
        ready = now
        for _ in range(count):
            if self.idle:
                self.spells.append((self.idle.pop(), now))  # the youngest, so that the oldest can be let go
                continue
            moment = self.coming.pop(0) if self.coming else now + self.launch
            self.arriving.append(moment)
            ready = max(ready, moment)
        self.arriving.sort()
        self.used += count
        self._fill_up()
        return ready

    def give_back(self, count: int, now: int) -> None:
        """Have machines of a cluster again; they idle from now on."""
        self.advance(now)
        self.used -= count
        del self.arriving[self.used :]
        self.idle += [now] * count
        self.advance(now)

    def idle_ms(self, since: int, until: int) -> int:
        """Milliseconds that machines idled between two moments, all machines together; what lasts still is counted to `until`."""
        spells = [*self.spells, *((begun, until) for begun in self.idle)]
        return sum(max(min(end, until) - max(begun, since), 0) for begun, end in spells)

    def _fill_up(self) -> None:
        while len(self.idle) + len(self.coming) < self.settings.min_idle:
            everything = self.used + len(self.idle) + len(self.coming)
            if self.settings.max_capacity is not None and everything >= self.settings.max_capacity:
                return
            self.coming.append(self.at + self.launch)


@dataclass(frozen=True)
class Request:
    """A cluster's start at `at` (ms), with so many machines, for `lasts` ms from when it runs."""

    at: int
    machines: int
    lasts: int
    preloaded: bool = True


@dataclass(frozen=True)
class Simulated:
    """What became of the requests, in their order of time: seconds until each ran, None for one that a full pool refused."""

    waits: tuple[float | None, ...]
    idle_machine_hours: float
    most_used: int

    @property
    def refused(self) -> int:
        """How many found the pool full."""
        return self.waits.count(None)


def simulate(
    settings: Settings, requests: Iterable[Request], timing: Timing = CLOUD, until: int | None = None
) -> Simulated:
    """Replay start requests on a pool that begins empty at the first of them.

    Args:
        until: the moment (ms) up to which idle machines are counted; by default when the last cluster has ended.
    """
    ordered = sorted(requests, key=lambda request: request.at)
    if not ordered:
        return Simulated((), 0.0, 0)
    pool = Machines(settings, timing.launch, ordered[0].at)
    ends: list[tuple[int, int]] = []
    waits: list[float | None] = []
    most = 0

    def release(now: int) -> None:
        while ends and ends[0][0] <= now:
            end, machines = heapq.heappop(ends)
            pool.give_back(machines, end)

    for request in ordered:
        release(request.at)
        try:
            ready = (
                pool.take(request.machines, request.at)
                + timing.boot
                + (0 if request.preloaded else timing.image)
            )
        except Full:
            waits.append(None)
            continue
        waits.append((ready - request.at) / 1000)
        heapq.heappush(ends, (ready + request.lasts, request.machines))
        most = max(most, pool.used)
    last = max((end for end, _ in ends), default=pool.at)
    until = last if until is None else until
    release(until)
    pool.advance(until)
    return Simulated(tuple(waits), pool.idle_ms(ordered[0].at, until) / 3_600_000, most)
