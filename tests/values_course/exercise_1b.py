"""What a right answer of exercise 1b of the course of values is: a class, a function, files and a state that do what they should.

Each is used on what no notebook has seen; services and their records stay on this side.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from typing import Any

from labs_lib.values.checks.exercise_1a import numbers

from labs_lib.checking.evidence import Evidence
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding
from labs_lib.driving.driver import Lost

BANDS = {"small": range(0, 300), "middle": range(300, 700), "large": range(700, 1000)}
REFUSALS = (0, 1, 4)


def _drawn(evidence_seed: int, purpose: str, count: int) -> list[int]:
    return random.Random(f"{purpose} {evidence_seed}").choices(range(1000), k=count)


def observe_1b_1(observer: Observer) -> dict[str, Any]:
    """What two tallies say after each number, each in a child that knows nothing of the other."""
    said: list[Any] = []
    try:
        for purpose in ("one", "other"):
            with observer.child("Tally") as tally:
                tally.make()
                said += [
                    [tally.call("add", number).value, tally.get("best").value]
                    for number in _drawn(observer.lab.seed, purpose, 6)
                ]
    except Lost as lost:
        return {"said": said, "ended": f"Tally {lost}"}
    return {"said": said, "ended": ""}


def judge_1b_1(evidence: Evidence) -> Iterator[Finding]:
    """The sum and the largest so far, from nothing on for each."""
    given = [_drawn(evidence.seed, purpose, 6) for purpose in ("one", "other")]
    right = [
        [total, best]
        for values in given
        for total, best in zip(itertools.accumulate(values), itertools.accumulate(values, max), strict=True)
    ]
    found = evidence.observed["said"]
    yield Finding("the tallies", found == right, "sum and largest", evidence.observed["ended"] or str(found))


def observe_1b_2(observer: Observer) -> dict[str, Any]:
    """What it returns of a service that refuses so many calls, and how often the service was called by its own record."""
    trials: list[Any] = []
    try:
        for refusals, value in zip(REFUSALS, _drawn(observer.lab.seed, "service", 3), strict=True):
            record: list[int] = []

            def service(refusals: int = refusals, value: int = value, record: list[int] = record) -> int:
                record.append(1)
                if len(record) <= refusals:
                    raise ConnectionError("refused")
                return value

            with observer.child("patient") as child:
                trials.append([child.call("", service).value, len(record)])
    except Lost as lost:
        return {"trials": trials, "ended": f"patient {lost}"}
    return {"trials": trials, "ended": ""}


def judge_1b_2(evidence: Evidence) -> Iterator[Finding]:
    """The service's value, after one call more than it refused."""
    right = [
        [value, refusals + 1]
        for refusals, value in zip(REFUSALS, _drawn(evidence.seed, "service", 3), strict=True)
    ]
    found = evidence.observed["trials"]
    yield Finding("the calls", found == right, "value and calls", evidence.observed["ended"] or str(found))


def judge_1b_3(evidence: Evidence) -> Iterator[Finding]:
    """Each number is in the band that it belongs to, and in no other."""
    rules = [json.loads(text) for text in evidence.answers["bands"].values()]
    drawn = [*_drawn(evidence.seed, "bands", 50), 0, 299, 300, 699, 700, 999]
    found = [[rule["name"] for rule in rules if rule["low"] <= number < rule["high"]] for number in drawn]
    right = [[name for name, band in BANDS.items() if number in band] for number in drawn]
    yield Finding("the bands", found == right, "one band for each number", f"{len(rules)} rules")


def judge_1b_4(evidence: Evidence) -> Iterator[Finding]:
    """The largest number as limit, and the bands by name."""
    policy = evidence.answers["policy"]
    yield Finding(
        "the limit", policy["limit"] == max(numbers(evidence.seed)), "the largest", str(policy["limit"])
    )
    yield Finding(
        "the bands", sorted(policy["bands"]) == sorted(BANDS), "all of them", str(policy["bands"])[:200]
    )


def observe_1b_5(observer: Observer) -> dict[str, Any]:
    """What the module's function makes of numbers."""
    try:
        with observer.child("ranked") as child:
            answer = child.call("", _drawn(observer.lab.seed, "ranks", 40))
            return {"ranked": answer.value, "ended": answer.error}
    except Lost as lost:
        return {"ranked": None, "ended": f"ranked {lost}"}


def judge_1b_5(evidence: Evidence) -> Iterator[Finding]:
    """Each number once, the largest first."""
    found, right = (
        evidence.observed["ranked"],
        sorted(set(_drawn(evidence.seed, "ranks", 40)), reverse=True),
    )
    yield Finding("the ranks", found == right, "descending", evidence.observed["ended"] or str(found)[:200])
