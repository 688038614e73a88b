"""Changes that a database's log gave up: JSON files in two deliveries, and what the database held in the end.

The households and their details are those of the course table; what happens to whom, and in which file it is delivered, is
drawn from the seed. Delivery keeps no order: changes come late, twice, or without a key.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

import datasets
from datasets import variation

DELIVERIES = {1: 4, 2: 3}  # delivery → files
DETAILS = ("address", "income", "household_size")
FIRST_SEQUENCE = 10_001

Details = tuple[str | None, str | None, str | None]
Operation = Literal["INSERT", "UPDATE", "DELETE"]
OPERATIONS: dict[str, Operation] = {"i": "INSERT", "u": "UPDATE", "d": "DELETE"}


@dataclass(frozen=True)
class Change:
    """One change of the source: `sequence` orders all of them. A delete has no details. `delivery` is when it is delivered."""

    operation: Operation
    sequence: int
    household: int | None
    details: Details
    delivery: int

    def row(self) -> tuple[object, ...]:
        """The change as a row of bronze, in the order of a file's fields."""
        return (self.operation, self.sequence, self.household, *self.details)

    def line(self) -> str:
        """The change as a line of a file; nulls of a delete are left out, a missing key is an explicit null."""
        names = ("operation", "sequence", "household_id", *DETAILS)
        kept = {
            name: value
            for name, value in zip(names, self.row(), strict=True)
            if name == "household_id" or not (value is None and self.operation == "DELETE")
        }
        return json.dumps(kept)


def files(seed: int) -> dict[str, bytes]:
    """What arrives, by file name: `changes-<delivery>-<number>.json`, a change per line."""
    return {
        f"changes-{delivery}-{number}.json": "".join(change.line() + "\n" for change in content).encode()
        for delivery, contents in laid(seed).items()
        for number, content in enumerate(contents)
    }


@functools.cache
def laid(seed: int) -> dict[int, tuple[tuple[Change, ...], ...]]:
    """By delivery, the changes of each of its files, in the order of their lines."""
    draw = variation.generator(seed, "captured files")
    files: dict[int, tuple[tuple[Change, ...], ...]] = {}
    for delivery, number in DELIVERIES.items():
        mine = [change for change in changes(seed) if change.delivery == delivery]
        place = draw.integers(number, size=len(mine))
        order = draw.permutation(len(mine))
        files[delivery] = tuple(tuple(mine[i] for i in order if place[i] == file) for file in range(number))
    return files


def state(seed: int, deliveries: int = 2) -> dict[int, Details]:
    """What the source holds according to the changes of the first deliveries: per household the newest change counts."""
    newest: dict[int, Change] = {}
    for change in changes(seed):
        known = newest.get(change.household) if change.household is not None else None
        if change.household is not None and change.delivery <= deliveries:
            newest[change.household] = change if known is None or change.sequence > known.sequence else known
    return {key: change.details for key, change in newest.items() if change.operation != "DELETE"}


def rows(seed: int, deliveries: int = 2) -> Counter[tuple[object, ...]]:
    """The rows that bronze holds after so many deliveries, each with how often it was delivered."""
    return Counter(change.row() for change in changes(seed) if change.delivery <= deliveries)


def traps(seed: int) -> dict[int, str]:
    """What makes a household's state tricky: `deleted` (gone in the end), `late` (an older change came later), or `plain`."""
    found: dict[int, str] = {}
    in_the_end = state(seed)
    for household, story in _stories(changes(seed)).items():
        earlier = [change.sequence for change in story if change.delivery == 1]
        late = any(change.delivery == 2 and change.sequence < max(earlier, default=0) for change in story)
        found[household] = "deleted" if household not in in_the_end else "late" if late else "plain"
    return found


@functools.cache
def changes(seed: int) -> tuple[Change, ...]:
    """Every delivered line, duplicates included."""
    draw = variation.generator(seed, "captured")
    table = datasets.build("households", seed).select(["household_id", *DETAILS])
    known = [row for row in zip(*(table[name].to_pylist() for name in table.column_names), strict=True)]
    chosen = iter([known[place] for place in draw.permutation(len(known))[:600]])
    story: list[
        tuple[float, Change]
    ] = []  # with the time of each change in its source, by which it gets its number

    def happen(number: int, plot: str) -> None:
        """So many households to which the same happens: a letter for each change, a capital if it comes with the second delivery.

        i insert, u update, d delete. What stands after a `|` happens after the first delivery.
        """
        for _ in range(number):
            household, *details = next(chosen)
            now: Details = (details[0], details[1], details[2])
            first, _, second = plot.partition("|")
            times = [*np.sort(draw.random(len(first))), *(1 + np.sort(draw.random(len(second))))]
            for position, (letter, time) in enumerate(zip(first + second, times, strict=True)):
                operation = OPERATIONS[letter.lower()]
                if position and operation != "DELETE":
                    now = _other(now, known, draw)
                delivery = 2 if letter.isupper() or time >= 1 else 1
                told = (None, None, None) if operation == "DELETE" else now
                story.append((float(time), Change(operation, 0, int(household), told, delivery)))

    for number, plot in (
        (60, "i"),
        (70, "iu"),
        (40, "iuu"),
        (20, "id"),
        (25, "iUd"),  # the update comes after the delete
        (12, "IUd"),  # so does the insert
        (12, "Id"),
        (15, "idi"),  # deleted and there again
        (15, "id|i"),
        (40, "iUu"),  # the older update comes after the newer one
        (20, "Iu"),
        (40, "i|u"),
        (30, "i|d"),
        (10, "iu|d"),
        (30, "|i"),
        (20, "|iu"),
        (15, "|id"),
    ):
        happen(number + int(draw.integers(6)), plot)
    for time in (*draw.random(8), *(1 + draw.random(8))):
        broken = (known[int(draw.integers(len(known)))][1], None, None)
        story.append((float(time), Change("UPDATE", 0, None, broken, 1 if time < 1 else 2)))
    story.sort(key=lambda pair: pair[0])
    numbered = [replace(change, sequence=FIRST_SEQUENCE + n) for n, (_, change) in enumerate(story)]
    first = [change for change in numbered if change.delivery == 1 and change.household is not None]
    deleted = {change.household for change in first if change.operation == "DELETE"}
    came_back = [change for change in first if change.household in deleted and change.operation != "DELETE"]
    return tuple(
        [
            *numbered,
            *_some(numbered, 40, draw),  # twice in the same delivery
            *(replace(change, delivery=2) for change in _some(first, 30, draw)),
            *(replace(change, delivery=2) for change in _some(came_back, 15, draw)),
        ]
    )


def _some(pool: Sequence[Change], number: int, draw: np.random.Generator) -> list[Change]:
    return [pool[place] for place in draw.choice(len(pool), number, replace=False)]


def _stories(delivered: Iterable[Change]) -> dict[int, list[Change]]:
    stories: dict[int, list[Change]] = {}
    for change in delivered:
        if change.household is not None:
            stories.setdefault(change.household, []).append(change)
    return stories


def _other(now: Details, known: Sequence[Sequence[object]], draw: np.random.Generator) -> Details:
    """Other details: a new address, and now and then another income."""
    while True:
        model = known[int(draw.integers(len(known)))]
        income = model[2] if draw.random() < 0.4 else now[1]
        changed = (str(model[1]), None if income is None else str(income), now[2])
        if changed != now:
            return changed
