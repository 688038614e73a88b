"""Step 3a.2, integration tests: they let right pipelines pass, fail on each of a draw of wrongly wired ones, and clear up behind themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from labs_lib.checking.evidence import Evidence
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding
from labs_lib.cicd.checks.benches import Variant, tried
from labs_lib.cicd.checks.drawn import draw
from labs_lib.cicd.checks.pipeline_variants import MISWIRED, PATH, RIGHT, mutated
from labs_lib.cicd.checks.units import of_mutants, of_right_ones, summary, unjudged

# Of those that show at once, and of those that only a second load shows. Each costs a load or two.
AT_ONCE, LATER = 1, 2


def observe_3a_2(observer: Observer) -> dict[str, Any]:
    """What the tests say of each variant of the pipeline, and what they leave in the catalog."""
    chance = draw(observer, "integration tests")
    runs = tried(
        observer,
        observer.answer("integration_tests"),
        PATH,
        variants(chance),
        "tests/integration",
        chance,
        tables=True,
    )
    return summary(runs)


def variants(chance: np.random.Generator) -> list[Variant]:
    """The right pipelines, and a draw of wrongly wired ones made of any of them."""
    found = [Variant(text, given=which == 0) for which, text in enumerate(RIGHT)]
    for later, how_many in ((False, AT_ONCE), (True, LATER)):
        of_these = [mutant for mutant in MISWIRED if mutant.later == later]
        for place in chance.choice(len(of_these), how_many, replace=False):
            mutant = of_these[int(place)]
            found.append(Variant(mutated(mutant, int(chance.choice(sorted(mutant.edits)))), mutant.what))
    return found


def judge_3a_2(evidence: Evidence) -> Iterator[Finding]:
    """Green on right pipelines, red on wrong ones, and nothing left in the catalog."""
    seen = evidence.observed
    if finding := unjudged(seen, "tests/integration"):
        yield finding
        return
    yield from of_right_ones(seen, "the pipeline")
    yield of_mutants(seen)
    yield Finding(
        "nothing left behind",
        not seen["left"],
        "no table and no schema more than before, whether the tests pass or fail",
        f"left: {', '.join(seen['left'][:4])}" if seen["left"] else "so it is",
        "What a fixture makes, it takes away after its yield: that runs after a failed test, too.",
    )
