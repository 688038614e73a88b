"""Step 3a.5, a legacy function's tests reviewed: which branches nothing had taken, and tests that take all of them and kill all mutants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from labs_lib.checking.evidence import Evidence
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding
from labs_lib.cicd.checks.benches import Variant, tried
from labs_lib.cicd.checks.drawn import draw
from labs_lib.cicd.checks.legacy_variants import MUTANTS, mutated, right
from labs_lib.cicd.checks.units import of_mutants, of_right_ones, summary, unjudged
from labs_lib.cicd.legacy import SOURCE, untaken

ENOUGH = 0.95  # of the branches
TRIED = 12  # of the mistakes


def observe_3a_5(observer: Observer) -> dict[str, Any]:
    """What the tests say of each variant of the function, and what they take of the given one's branches."""
    chance, seed = draw(observer, "legacy tests"), observer.lab.seed
    runs = tried(
        observer,
        observer.answer("legacy_tests"),
        SOURCE,
        variants(seed, chance),
        "tests/legacy",
        chance,
        engine=False,
        measured=SOURCE,
        limit=60,
    )
    given = next((run for run in runs if run.variant.given), None)
    return {
        **summary(runs),
        "branches": given.number("branches") if given else 0.0,
        "lines": given.number("lines") if given else 0.0,
        "untaken": untaken(seed),
    }


def variants(seed: int, chance: np.random.Generator) -> list[Variant]:
    """The right ones, and a draw of mistakes in any of them."""
    found = [Variant(text, given=which == 0) for which, text in enumerate(right(seed))]
    for place in (int(each) for each in chance.choice(len(MUTANTS), TRIED, replace=False)):
        which = int(chance.integers(0, 2))
        text = mutated(seed, which, place) or mutated(seed, 0, place) or ""
        found.append(Variant(text, MUTANTS[place][0]))
    return found


def judge_3a_5(evidence: Evidence) -> Iterator[Finding]:
    """The branches named, all of them taken now, and no mutant alive."""
    seen = evidence.observed
    told = {
        tuple(each) if isinstance(each, list | tuple) else each for each in evidence.answers["weak_spots"]
    }
    wanted = {tuple(each) for each in seen["untaken"]}
    missing, more = len(wanted - told), len(told - wanted)
    yield Finding(
        "weak spots",
        not missing and not more,
        "the branches that the given test never takes, each as [line it leads from, line it leads to]",
        f"{missing} of {len(wanted)} missing, {more} that aren't any" if missing or more else f"these {len(wanted)}",
        "Measure the test that was there, with branches, before you change it: `missing_branches` of coverage's JSON report.",
    )  # fmt: skip
    if finding := unjudged(seen, "tests/legacy"):
        yield finding
        return
    fair = not seen["red"]
    yield Finding(
        "branches",
        fair and seen["branches"] >= ENOUGH,
        f"{ENOUGH:.0%} of the branches taken, by tests that pass",
        f"{seen['branches']:.0%}",
        "An `if` without `else` has two ways out.",
    )
    yield from of_right_ones(seen, "the function")
    yield of_mutants(seen)
