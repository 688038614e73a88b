"""Changes of households in batches for a slowly changing dimension, and the history that they amount to.

The households, their addresses, incomes and sizes are those of the course table; who changes, how and when is drawn from the seed.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import datasets
from datasets import variation

BATCHES = 4  # the fourth is the third once more, with some new records
START = datetime(2026, 1, 1, tzinfo=UTC)  # from when on the first version of every known household holds
# Minutes since START within which the changes of each batch take effect: a month each.
WINDOWS = {1: (1_440, 44_000), 2: (44_640, 84_000), 3: (84_960, 129_000), 4: (129_600, 172_000)}
DETAILS = ("address", "income", "household_size")
SCHEMA = pa.schema(
    [
        pa.field("batch", pa.int32()),
        pa.field("household_id", pa.int32()),
        *(pa.field(name, pa.string()) for name in DETAILS),
        pa.field("effective_at", pa.timestamp("us", tz="UTC")),
    ]
)

Details = tuple[str | None, str | None, str | None]
Kind = Literal["new", "changed", "unchanged", "reverted", "late", "again"]
Timeline = dict[int, Details]  # minute from which on the details hold → details


@dataclass(frozen=True)
class Change:
    """One delivered record: from `minute` (since START) on, the household has these details. `kind` is why it is in the feed."""

    batch: int
    household: int
    details: Details
    minute: int
    kind: Kind

    @property
    def effective_at(self) -> datetime:
        return START + timedelta(minutes=self.minute)


@dataclass(frozen=True)
class Version:
    """A row of the dimension: valid from `valid_from` on, and before `valid_to` unless that is None."""

    details: Details
    valid_from: datetime
    valid_to: datetime | None


@dataclass(frozen=True)
class Effect:
    """What a batch does to the dimension: rows inserted, and rows whose end moves."""

    inserted: int
    closed: int


def files(seed: int) -> dict[str, bytes]:
    """What arrives: `changes.parquet`, in SCHEMA."""
    delivered = changes(seed)
    columns = [
        [change.batch for change in delivered],
        [change.household for change in delivered],
        *([change.details[place] for change in delivered] for place in range(len(DETAILS))),
        [change.effective_at for change in delivered],
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA), sink)
    return {"changes.parquet": sink.getvalue()}


@functools.cache
def known_households(seed: int) -> dict[int, Details]:
    """The households that the dimension begins with, and their details."""
    table = datasets.build("households", seed).select(["household_id", *DETAILS])
    columns = [table[name].to_pylist() for name in table.column_names]
    return {row[0]: row[1:] for row in zip(*columns, strict=True)}


@functools.cache
def changes(seed: int) -> tuple[Change, ...]:
    """All delivered records, each batch in a shuffled order.

    Two records of a household with the same minute are the same record. A late record differs from what was valid before it;
    most differ from what is valid after it too, and the others say what the next version says already. No household has both a
    late record and one that repeats its details.
    """
    draft = _Draft(variation.generator(seed, "dimension"), known_households(seed))
    movers, newcomers = {}, {}
    for batch, moving in ((1, 160), (2, 130), (3, 110)):
        more = int(draft.draw.integers(20))  # the numbers vary with the seed as well
        movers[batch], newcomers[batch] = draft.take(moving + more), draft.newcomers(30)
        for household in newcomers[batch]:
            draft.add(batch, household, draft.anybodys(), draft.minute(batch), "new")
        _move(draft, batch, movers[batch])
        _repeat(draft, batch, draft.take(40))
    twice, there_and_back = draft.take(30), draft.take(20)  # two changes within one batch
    for batch, households in ((1, twice), (3, there_and_back)):
        _move(draft, batch, households, (0.0, 0.45))
    _move(draft, 1, twice, (0.55, 1.0))
    _revert(draft, 3, there_and_back, (0.55, 1.0))
    _revert(draft, 2, movers[1][:40])
    _move(draft, 2, movers[1][90:120])
    _move(draft, 3, movers[2][25:40])
    _repeat(draft, 2, twice[12:22])
    _be_late(draft, 2, movers[1][40:65], before=1)
    _be_late(draft, 3, movers[2][:25], before=1)
    _be_late(draft, 3, movers[2][25:33], before=1)  # with a timely one in the same batch
    _be_late(draft, 3, twice[:12], before=2)  # between two versions that are closed already
    _be_late(draft, 3, newcomers[2][:10], before=0)  # before the first version that is known
    _be_early(draft, 2, movers[1][65:80])
    _be_early(draft, 3, movers[2][40:52])
    third = [replace(change, batch=4, kind="again") for change in draft.feed if change.batch == 3]
    for household in draft.newcomers(5):
        draft.add(4, household, draft.anybodys(), draft.minute(4), "new")
    _move(draft, 4, draft.take(8))
    # Delivered once more: within the batch, or with the next one, when some of these households have moved on.
    in_time = [change for change in draft.feed if change.kind != "late"]
    places = draft.draw.choice(len(in_time), 40, replace=False)
    again = [replace(in_time[place], kind="again") for place in places]
    moved_on = {*movers[1][:40], *movers[1][90:120], *movers[2][33:40]}
    again += [
        replace(change, batch=change.batch + 1, kind="again")
        for change in in_time
        if change.kind == "changed" and change.household in moved_on and change.batch < 3
    ]
    feed = [*draft.feed, *third, *again]
    shuffled = [feed[place] for place in draft.draw.permutation(len(feed))]
    return tuple(sorted(shuffled, key=lambda change: change.batch))


class _Draft:
    """A feed in the making: what has been delivered, and what is true of each household so far."""

    def __init__(self, draw: np.random.Generator, start: dict[int, Details]) -> None:
        self.draw, self.start = draw, start
        self.feed: list[Change] = []
        self.timelines: dict[int, Timeline] = {household: {0: d} for household, d in start.items()}
        self._households = sorted(start)
        self._fresh = iter([int(household) for household in draw.permutation(self._households)])
        self._next = max(start) + 1
        # What an income or a size may change to; an address changes to that of some other household.
        self._known = [sorted({str(d[place]) for d in start.values() if d[place]}) for place in range(3)]

    def take(self, number: int) -> list[int]:
        """Households that nothing has happened to yet."""
        return [next(self._fresh) for _ in range(number)]

    def newcomers(self, number: int) -> list[int]:
        self._next += number
        return list(range(self._next - number, self._next))

    def anybodys(self) -> Details:
        return self.start[self._households[int(self.draw.integers(len(self._households)))]]

    def minute(self, batch: int, part: tuple[float, float] = (0.0, 1.0)) -> int:
        low, high = WINDOWS[batch]
        begin, end = (low + int(share * (high - low)) for share in part)
        return int(self.draw.integers(begin, end))

    def other(self, details: Details, avoid: Iterable[Details] = (), address: bool = False) -> Details:
        """Details that differ in one place from the given ones, and from all in `avoid`; known ones become unknown at times."""
        refused = {details, *avoid}
        while True:
            place = 0 if address else int(self.draw.choice(3, p=(0.5, 0.3, 0.2)))
            value: str | None = self._known[place][int(self.draw.integers(len(self._known[place])))]
            if place and details[place] is not None and self.draw.random() < 0.3:
                value = None
            changed = cast(Details, (*details[:place], value, *details[place + 1 :]))
            if changed not in refused:
                return changed

    def add(self, batch: int, household: int, details: Details, minute: int, kind: Kind) -> None:
        self.feed.append(Change(batch, household, details, minute, kind))
        if kind != "unchanged":
            self.timelines.setdefault(household, {})[minute] = details


def _move(
    draft: _Draft, batch: int, households: Sequence[int], part: tuple[float, float] = (0.0, 1.0)
) -> None:
    for household in households:
        details = draft.other(_latest(draft.timelines[household]))
        draft.add(batch, household, details, draft.minute(batch, part), "changed")


def _revert(
    draft: _Draft, batch: int, households: Sequence[int], part: tuple[float, float] = (0.0, 1.0)
) -> None:
    """Back to the details that the dimension began with."""
    for household in households:
        draft.add(batch, household, draft.start[household], draft.minute(batch, part), "reverted")


def _repeat(draft: _Draft, batch: int, households: Sequence[int]) -> None:
    for household in households:
        draft.add(batch, household, _latest(draft.timelines[household]), draft.minute(batch), "unchanged")


def _be_late(draft: _Draft, batch: int, households: Sequence[int], before: int) -> None:
    """A record that took effect before the version with that number in the household's history, which is known already."""
    for household in households:
        timeline = draft.timelines[household]
        minutes = sorted(timeline)
        low = minutes[before - 1] if before else WINDOWS[1][0]
        details = draft.other(timeline[minutes[max(before - 1, 0)]], timeline.values(), address=True)
        draft.add(batch, household, details, int(draft.draw.integers(low + 1, minutes[before])), "late")


def _be_early(draft: _Draft, batch: int, households: Sequence[int]) -> None:
    """A late record of what is known already: the newest version held earlier than was thought."""
    for household in households:
        *_, before, newest = sorted(timeline := draft.timelines[household])
        draft.add(batch, household, timeline[newest], int(draft.draw.integers(before + 1, newest)), "late")


def history(seed: int) -> dict[int, list[Version]]:
    """The right dimension after all batches: by household, its versions in order of time."""
    return states(seed)[-1]


def states(seed: int) -> list[dict[int, list[Version]]]:
    """The right dimension after each batch."""
    return [
        {household: _versions(timeline) for household, timeline in timelines.items()}
        for timelines, _ in _apply(seed)
    ]


def effects(seed: int) -> list[Effect]:
    """What each batch has to do to the dimension, and no more."""
    return [effect for _, effect in _apply(seed)]


def kinds(seed: int) -> dict[int, str]:
    """What makes a household's history tricky: `late`, `repeated` (unchanged or delivered again), `changed`, or `still`."""
    found: dict[int, set[str]] = {}
    for change in changes(seed):
        found.setdefault(change.household, set()).add(change.kind)
    return {household: _kind(found.get(household, set())) for household in {*known_households(seed), *found}}


def _kind(found: set[str]) -> str:
    if "late" in found:
        return "late"
    if found & {"unchanged", "again"}:
        return "repeated"
    return "changed" if found else "still"


@functools.cache
def _apply(seed: int) -> tuple[tuple[dict[int, Timeline], Effect], ...]:
    """What is known of each household after each batch, and what the batch did: a record goes to its place in time, and one that repeats what was valid before it is left out.

    A version that is there stays, also after a late record that says the same.
    """
    timelines: dict[int, Timeline] = {household: {0: d} for household, d in known_households(seed).items()}
    done = []
    for batch in range(1, BATCHES + 1):
        touched: dict[int, Timeline] = {}
        for change in changes(seed):
            if change.batch == batch:
                timeline = touched.setdefault(change.household, dict(timelines.get(change.household, {})))
                timeline.setdefault(change.minute, change.details)
        inserted = closed = 0
        for household, timeline in touched.items():
            before = _ends(timelines.get(household, {}))
            timelines[household] = _without_repeats(timeline, before.keys())
            after = _ends(timelines[household])
            inserted += len(after.keys() - before.keys())
            closed += sum(after[minute] != before[minute] for minute in after.keys() & before.keys())
        done.append((dict(timelines), Effect(inserted, closed)))
    return tuple(done)


def _without_repeats(timeline: Timeline, there: Collection[int]) -> Timeline:
    kept: Timeline = {}
    for minute in sorted(timeline):
        if minute in there or not kept or _latest(kept) != timeline[minute]:
            kept[minute] = timeline[minute]
    return kept


def _ends(timeline: Timeline) -> dict[int, int | None]:
    minutes = sorted(timeline)
    return dict(zip(minutes, [*minutes[1:], None], strict=True)) if minutes else {}


def _versions(timeline: Timeline) -> list[Version]:
    moment = [START + timedelta(minutes=minute) for minute in sorted(timeline)]
    return [
        Version(timeline[minute], start, end)
        for minute, start, end in zip(sorted(timeline), moment, [*moment[1:], None], strict=True)
    ]


def _latest(timeline: Timeline) -> Details:
    return timeline[max(timeline)]
