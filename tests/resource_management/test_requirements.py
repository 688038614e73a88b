"""What the seeds draw of exercise 5b: requirements that can be met, specifications and days that show what they are for."""

from __future__ import annotations

from decimal import Decimal

import pytest

from datasets.variation import generator
from labs_lib.resource_management.checks.policies import SPECIFICATIONS, allowed, plain, specifications
from labs_lib.resource_management.checks.utilization import counted
from labs_lib.resource_management.company import NODES, company, found
from labs_lib.resource_management.day import BATCH, TOMORROW, URGENT, limits, submissions
from labs_lib.resource_management.month import month
from labs_lib.resource_management.requirements import allowances
from labs_lib.resource_management.week import pattern
from labs_lib.workspace.trial import trial

SEEDS = range(20)


@pytest.mark.parametrize("seed", SEEDS)
def test_sixty_specifications_of_which_some_are_allowed(seed: int) -> None:
    drawn = specifications(seed, company(seed))
    assert len(drawn) == SPECIFICATIONS
    for team in company(seed).teams:
        mine = [each for each in drawn if each["team"] == team]
        assert 4 <= sum(each["wanted"] for each in mine) <= 12
        assert not any(each["wanted"] for each in mine if each["door"])


@pytest.mark.parametrize("seed", SEEDS)
def test_a_plain_specification_is_what_the_words_allow(seed: int) -> None:
    draw = generator(seed, "a test")
    for number, each in enumerate(allowances(seed)):
        usual = "job" if each.kind == "engineers" else "all-purpose"
        assert all(allowed(each, plain(each, draw), usual, NODES[number]) for _ in range(20)), each
        assert f"team={each.team}" in each.words


@pytest.mark.parametrize("step", ["5b.1", "5b.2", "5b.3", "5b.4"])
def test_what_a_step_begins_with_can_be_loaded(step: str) -> None:
    for seed in range(3):
        with trial(found(seed, step)) as w:
            assert (
                len(w.ask("GET", "/api/2.0/preview/scim/v2/Users")["Resources"])
                == len(company(seed).everybody) + 1
            )


def test_two_hundred_submissions_and_a_morning() -> None:
    for seed in SEEDS:
        assert len(submissions(seed, "fresh")) == 3 * (BATCH + URGENT) + 2 + 6 * TOMORROW == 212
        assert len({each.quota for each in limits(seed)}) == 3


def test_a_week_has_the_retailers_shape() -> None:
    assert pattern().sum() == pytest.approx(1) and pattern().argmax() % 24 > 12


def test_a_months_lines_add_up_and_corrections_take_back() -> None:
    for seed in range(3):
        told = month(seed, "a test")
        right = counted(told)
        assert sum(Decimal(cost) for cost in right["costs"].values()) == Decimal(right["total"])
        taken = [row for row in told["usage"] if row["record_type"] == "RETRACTION"]
        assert taken and all(Decimal(row["usage_quantity"]) < 0 for row in taken)
        assert set(company(seed).teams) < set(right["costs"])
