"""Step 3a.1, unit tests: they let right implementations pass and fail on each of a draw of mutants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from labs_lib.checking.evidence import Evidence
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding
from labs_lib.cicd.checks.benches import Run, Variant, tried
from labs_lib.cicd.checks.drawn import draw
from labs_lib.cicd.checks.function_variants import FUNCTIONS, GIVEN, MUTANTS, PATH, RIGHT, module, mutated

EACH = 3  # mutants of a function


def observe_3a_1(observer: Observer) -> dict[str, Any]:
    """What the tests say of each variant of each function."""
    chance = draw(observer, "unit tests")
    runs = tried(observer, observer.answer("unit_tests"), PATH, variants(chance), "tests/unit", chance)
    return summary(runs)


def variants(chance: np.random.Generator) -> list[Variant]:
    """Right implementations and mutants of each function, in modules whose other functions are right ones, whichever."""
    found = []
    for name in FUNCTIONS:
        texts = [(RIGHT[which][name], "", which == 0) for which in range(len(RIGHT))]
        of_it = [mutant for mutant in MUTANTS if mutant.function == name]
        for place in chance.choice(len(of_it), EACH, replace=False):
            mutant = of_it[int(place)]
            which = int(chance.choice(sorted(mutant.edits)))
            texts.append((mutated(mutant, which), f"{name}: {mutant.what}", False))
        for text, what, given in texts:
            others = {each: RIGHT[int(chance.integers(len(RIGHT)))][each] for each in FUNCTIONS}
            order = [str(each) for each in chance.permutation(FUNCTIONS)]
            whole = GIVEN if given else module({**others, name: text}, order)
            found.append(Variant(whole, what, (name,), given))
    return found


def summary(runs: list[Run]) -> dict[str, Any]:
    """What a judge needs of the runs, as plain data."""
    return {
        "problem": next((run.problem for run in runs if run.problem), ""),
        "collected": max((int(run.number("collected")) for run in runs), default=0),
        "properties": max((int(run.number("properties")) for run in runs), default=0),
        "unnamed": sorted({run.variant.words[0] for run in runs if run.variant.words and not run.rows and not run.problem}),
        "red": [run.red for run in runs if run.variant.given and run.red],
        "refused": [[run.variant.words, run.red] for run in runs if not run.variant.what and not run.variant.given and run.red],
        "alive": sorted(run.variant.what for run in runs if run.variant.what and not run.killed),
        "mutants": sum(bool(run.variant.what) for run in runs),
        "left": sorted({str(name)[:80] for run in runs for name in (run.told.get("left") or [])[:5]}),
    }  # fmt: skip


def unjudged(seen: dict[str, Any], where: str) -> Finding | None:
    """The one finding about tests of which nothing else can be said."""
    wanted = "pytest collects them"
    if seen["problem"]:
        return Finding("the tests", False, wanted, f"it ended before any test: {seen['problem']}")
    if not seen["collected"]:
        return Finding(
            "the tests",
            False,
            wanted,
            f"it found none below {where}: files are named test_*.py, functions test_*",
        )
    return None


def of_right_ones(seen: dict[str, Any], what: str) -> Iterator[Finding]:
    """Whether the tests let the given code and the other right implementations pass. Those that never fail have nothing to let pass."""
    red = seen["red"]
    blind = seen["mutants"] and len(seen["alive"]) == seen["mutants"]
    yield Finding(
        "the given code",
        not red and not blind,
        f"all tests pass on {what} as given, and some fail on other code",
        f"`{red[0][0]}` fails ({red[0][1]}): {red[0][3]}"
        if red
        else "no test failed, whatever the code did"
        if blind
        else "so it is",
        "A test that is red on right code is wrong itself."
        if red
        else "What would a test have to assert, so that it fails if the function does something else?",
    )
    refused = seen["refused"]
    yield Finding(
        "other right code",
        not refused and not red and not blind,
        f"all tests pass on {what} written in another way, to the same docstring",
        f"`{refused[0][1][0]}` fails: {refused[0][1][3]}"
        if refused
        else "not counted"
        if red or blind
        else "so it is",
        "Assert what the docstring promises. The order of rows and columns, and how the code is written, are free.",
    )


def of_mutants(seen: dict[str, Any]) -> Finding:
    """Whether each mutant was killed, by tests that pass on what is right."""
    alive, fair = seen["alive"], not seen["red"] and not seen["refused"]
    shown = "; ".join(alive[:3]) + (f" and {len(alive) - 3} more" if len(alive) > 3 else "")
    return Finding(
        "mutants",
        fair and not alive,
        f"each of {seen['mutants']} mutants makes a test fail in its own assertions",
        f"{len(alive)} live: {shown}"
        if alive
        else "killed by tests that fail on right code, too, which counts for nothing"
        if not fair
        else f"all {seen['mutants']} are dead",
        "Which row would show it? A bound has two sides; null, an empty text and a duplicate are rows, too.",
        weight=2,
    )


def judge_3a_1(evidence: Evidence) -> Iterator[Finding]:
    """Green on what is right, red on what is wrong, and a property test among them."""
    seen = evidence.observed
    if finding := unjudged(seen, "tests/unit"):
        yield finding
        return
    unnamed = seen["unnamed"]
    yield Finding(
        "names",
        not unnamed,
        "each of the four functions has tests that name it, like test_price_lines_...",
        f"none names {', '.join(unnamed)}" if unnamed else "so it is",
        "A test counts for a function whose name is part of its own.",
    )
    yield from of_right_ones(seen, "the functions")
    yield of_mutants(seen)
    yield Finding(
        "a property",
        seen["properties"] > 0 and not seen["red"],
        "at least one test with hypothesis's @given",
        "there is one" if seen["properties"] else "there is none",
        "What holds for every line, whatever is in it? Never below 0, no line lost, doing it twice changes nothing.",
    )
