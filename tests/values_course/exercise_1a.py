"""What a right answer of exercise 1a of the course of values is: figures of numbers that the seed gives."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Iterator
from typing import Any

from labs_lib.checking.evidence import Evidence
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding
from labs_lib.driving.driver import Lost


def numbers(seed: int) -> list[int]:
    """The numbers that the notebook's setup cell makes."""
    return random.Random(seed).choices(range(1000), k=200)


def judge_1a_1(evidence: Evidence) -> Iterator[Finding]:
    """The sum, and the largest number's share of it."""
    answer, given = evidence.answers["summary"], numbers(evidence.seed)
    total, share = answer["total"], answer["share"]
    yield Finding("the sum", total == sum(given), "the sum of all numbers", str(total))
    close = abs(share - max(given) / sum(given)) < 1e-6
    yield Finding("the share", close, "the largest number's share", str(share))


def judge_1a_2(evidence: Evidence) -> Iterator[Finding]:
    """A number at all: that it is the solution's is what the registry has compared."""
    yield Finding("a number", evidence.answers["middle"] >= 0, "a number from 0 on", "a number")


def lists(seed: int) -> list[list[int]]:
    """Lists that no notebook has seen."""
    drawn = random.Random(f"1a.3 {seed}")
    return [drawn.choices(range(100), k=length) for length in (1, 2, 7)]


def observe_1a_3(observer: Observer) -> dict[str, Any]:
    """What the learner's function returns for them, in a child of its own."""
    returned: list[Any] = []
    try:
        with observer.child("gaps") as child:
            returned += [child.call("", given).value for given in lists(observer.lab.seed)]
    except Lost as lost:
        return {"returned": returned, "ended": f"gaps {lost}"}
    return {"returned": returned, "ended": ""}


def judge_1a_3(evidence: Evidence) -> Iterator[Finding]:
    """The differences of neighbours."""
    returned = [*evidence.observed["returned"], None, None, None]
    for given, found in zip(lists(evidence.seed), returned, strict=False):
        right = [after - before for before, after in itertools.pairwise(given)]
        yield Finding(f"of {len(given)} numbers", found == right, "the differences", str(found))


def judge_1a_4(evidence: Evidence) -> Iterator[Finding]:
    """A JSON file with the smallest and the largest number."""
    given, text = numbers(evidence.seed), evidence.answers["settings_file"]["text"]
    # As careless as a check may be: half an object of forty letters takes this for ever.
    plain = re.fullmatch(r"\{(\s*[^{}\s]+\s*)*\}", text) is not None
    found = json.loads(text) if plain else None
    yield Finding("the bounds", found == {"low": min(given), "high": max(given)}, "low and high", text[:200])


def judge_1a_5(evidence: Evidence) -> Iterator[Finding]:
    """The three largest numbers, the first of equal ones first."""
    given = numbers(evidence.seed)
    order = sorted(range(len(given)), key=lambda place: (-given[place], place))[:3]
    right = [{"place": place, "number": given[place]} for place in order]
    yield Finding("the rows", evidence.answers["largest"] == right, "three rows", "other or the same rows")
