"""What exercise 3a's judge makes of learners' tests: of good ones, of forged reports, and of those that can't be judged."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from datasets.variation import generator
from labs_lib import registry
from labs_lib.checking.evidence import Evidence, Unusable
from labs_lib.checking.observer import Observer
from labs_lib.cicd.checks import function_variants, legacy_variants, pipeline_variants, quality, units
from labs_lib.cicd.checks.automation import BRANCHES, branches
from labs_lib.cicd.checks.benches import Run, Variant, tried
from labs_lib.cicd.checks.review import judge_3a_5, variants
from labs_lib.cicd.checks.units import summary
from labs_lib.cicd.legacy import SOURCE, given_test, source_of, untaken
from labs_lib.cicd.project import DIGEST, TEMPLATE, digest

SEEDS = range(12)
TEST = "tests/legacy/test_points.py"


@pytest.fixture
def observer() -> Observer:
    lab: Any = None
    return Observer(registry.step("3a.5"), Evidence("3a.5", 0), lab)


def run(observer: Observer, text: str, seed: int = 0, limit: float = 120) -> list[Run]:
    """A learner's tests of the legacy function, run as the judge runs them."""
    chance = generator(seed, "a test")
    return tried(
        observer,
        {TEST: text},
        SOURCE,
        variants(seed, chance),
        "tests/legacy",
        chance,
        engine=False,
        measured=SOURCE,
        limit=limit,
    )


def test_the_template_is_the_one_that_the_checks_were_proved_with() -> None:
    assert digest() == DIGEST, "change DIGEST in labs_lib/cicd/project.py too, so that the ledger notices"


def test_every_mutant_of_a_function_can_be_made_and_is_another_code() -> None:
    for mutant in function_variants.MUTANTS:
        for which in mutant.edits:
            text = function_variants.mutated(mutant, which)
            ast.parse(text)
            assert text != function_variants.RIGHT[which][mutant.function]
    for name in function_variants.FUNCTIONS:
        assert sum(mutant.function == name for mutant in function_variants.MUTANTS) > units.EACH


def test_every_mutant_of_the_pipeline_can_be_made() -> None:
    for mutant in pipeline_variants.MISWIRED:
        for which in mutant.edits:
            ast.parse(pipeline_variants.mutated(mutant, which))


@pytest.mark.parametrize("seed", SEEDS)
def test_variants_say_by_nothing_what_they_are(seed: int) -> None:
    drawn = units.variants(generator(seed, "a test"))
    assert sum(bool(each.what) for each in drawn) == units.EACH * 4
    assert sum(each.given for each in drawn) == 4
    for variant in drawn:
        assert variant.what not in variant.text or not variant.what
        assert "mutant" not in variant.text.lower()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_legacy_function_and_all_its_variants_differ_as_they_should(seed: int) -> None:
    names: dict[str, Any] = {}
    exec(source_of(seed), names)
    other: dict[str, Any] = {}
    exec(legacy_variants.IN_SHORT, other)
    chance = generator(seed, "receipts")
    for _ in range(200):
        lines = [
            {
                "department": str(chance.choice(["FUEL", "DELI"])),
                "brand": str(chance.choice(["Own", "National"])),
                "paid": float(chance.integers(0, 400)) / 4,
            }
            for _ in range(int(chance.integers(0, 14)))
        ]
        member = [None, "gold", "silver"][int(chance.integers(3))]
        weekday = int(chance.integers(7))
        assert names["loyalty_points"](lines, member, weekday) == other["loyalty_points"](
            lines, member, weekday
        )
    for place in range(len(legacy_variants.MUTANTS)):
        for which in (0, 1):
            if (text := legacy_variants.mutated(seed, which, place)) is not None:
                ast.parse(text)


@pytest.mark.parametrize("seed", (0, 1, 2, 3))
def test_the_given_test_takes_all_lines_and_misses_the_branches_that_the_judge_names(
    seed: int, observer: Observer
) -> None:
    given = next(each for each in run(observer, given_test(seed), seed) if each.variant.given)
    assert given.green
    assert given.number("lines") == 1.0
    assert given.number("branches") == pytest.approx(1 - len(untaken(seed)) / 16)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def helper():\n    pass\n", "found none below"),
        ("def test_a(:\n", "SyntaxError"),
        ("import there_is_no_such_module\n", "No module named"),
    ],
)
def test_tests_that_cannot_be_collected_get_a_sentence(observer: Observer, text: str, said: str) -> None:
    seen = {**summary(run(observer, text)), "branches": 0.0, "untaken": []}
    findings = list(judge_3a_5(Evidence("3a.5", 0, {"weak_spots": []}, observed=seen)))
    assert [finding.ok for finding in findings] == [True, False]
    assert said in findings[1].found


@pytest.mark.parametrize(
    ("text", "limit", "said"),
    [
        ("import os\n\n\ndef test_a():\n    os._exit(0)\n", 120, "ended before it had answered"),
        ("def test_a():\n    while True:\n        pass\n", 5, "took longer than 5 s"),
    ],
)
def test_tests_that_end_their_process_or_never_end_get_a_sentence(
    observer: Observer, text: str, limit: float, said: str
) -> None:
    with pytest.raises(Unusable, match=said):
        run(observer, text, limit=limit)


def test_a_forged_report_earns_nothing(observer: Observer) -> None:
    """Whatever the tests make pytest say, they can't know which variant is a right one."""
    everything_fails = (
        "import pytest\nfrom _pytest.runner import CallInfo\nfrom retail.legacy import loyalty_points\n\n\n"
        "def test_loyalty_points():\n    pytest.fail('a mutant')\n"
    )
    seen = summary(run(observer, everything_fails))
    assert seen["red"] and seen["refused"]

    nothing_fails = (
        "import gc\n\nfor each in gc.get_objects():\n    if type(each).__name__ == 'Recorder':\n"
        "        each.rows = [['test_loyalty_points', 'call', 'passed', '']]\n"
        "        type(each).pytest_runtest_logreport = lambda self, report: None\n\n\n"
        "def test_loyalty_points():\n    assert False\n"
    )
    seen = summary(run(observer, nothing_fails))
    assert seen["alive"]


def test_what_a_child_says_is_looked_at_before_it_is_used() -> None:
    variant = Variant("", "a mistake")
    for told in ({}, {"tests": "all"}, {"tests": [["a"], 3]}, {"tests": None, "collected": "many"}):
        run = Run(variant, told)
        assert not run.killed and not run.green and run.number("collected") == 0


def test_an_error_of_a_fixture_kills_nothing() -> None:
    assert not Run(Variant("", "a mistake"), {"tests": [["test_a", "setup", "failed", "x"]]}).killed
    assert Run(Variant("", "a mistake"), {"tests": [["test_a", "call", "failed", "x"]]}).killed


@pytest.mark.parametrize("seed", SEEDS)
def test_damages_are_counted_by_the_rules_themselves(seed: int) -> None:
    """The rules of the task, in plain Python, find in each drawn table what is expected of it and nothing else."""
    chance = generator(seed, "a test")
    drawn = [quality.clean(chance), *(quality.damaged(chance, pair) for pair in quality.PAIRS[:2])]
    drawn += [quality.damaged(chance, quality.PAIRS[2][::-1]), quality.damaged(chance, quality.PAIRS[3])]
    for tables in drawn:
        assert _by_hand(tables) == tables["expected"]


def _by_hand(tables: dict[str, Any]) -> dict[str, int]:
    import re
    from collections import Counter
    from datetime import date, timedelta

    today, lines = date.fromisoformat(tables["today"]), tables["lines"]
    day = {id(line): date.fromisoformat(line[6][:10]) for line in lines}
    keys = Counter((line[2], line[3]) for line in lines if line[2] is not None and line[3] is not None)
    known = {row[0] for row in tables["households"]}
    stale = {
        store
        for store in {line[0] for line in lines}
        if max(day[id(line)] for line in lines if line[0] == store) < today - timedelta(days=2)
    }
    halves: dict[date, set[bool]] = {}
    for line in lines:
        halves.setdefault(day[id(line)], set()).add(int(line[6][11:13]) < 12)
    counts = {
        "null_key": sum(line[2] is None or line[3] is None for line in lines),
        "duplicate_key": sum(count - 1 for count in keys.values()),
        "orphan": sum(line[1] is not None and line[1] not in known for line in lines),
        "future_date": sum(day[id(line)] > today for line in lines),
        "impossible_amount": sum(not 0 <= line[5] <= 1000 for line in lines),
        "malformed_email": sum(
            mail is not None and not re.fullmatch(r"[\w.+-]+@[\w-]+(\.[\w-]+)+", mail)
            for _, mail in tables["households"]
        ),
        "stale_store": sum(line[0] in stale for line in lines),
        "half_day_missing": sum(day[id(line)] < today and len(halves[day[id(line)]]) < 2 for line in lines),
    }
    return {rule: rows for rule, rows in counts.items() if rows}


def test_five_branches_each_with_one_thing_in_it() -> None:
    drawn = {branch.name: branch for branch in branches(generator(3, "a test"))}
    assert tuple(drawn) == BRANCHES
    for name, branch in drawn.items():
        broken = 0
        for text in branch.files.values():
            try:
                ast.parse(text)
            except SyntaxError:
                broken += 1
        assert broken == (name == "a syntax error")
        assert bool(branch.red) == name.startswith("a red")


def test_the_template_is_text_by_path() -> None:
    assert {"pyproject.toml", "conftest.py", "src/retail/functions.py", "src/retail/pipeline.py"} <= set(
        TEMPLATE
    )
