"""A pool's arithmetic against small cases worked out by hand, and against a simulation machine by machine."""

from __future__ import annotations

import random

import pytest

from labs_lib.workspace.compute.pools.capacity import (
    CLOUD,
    Full,
    Machines,
    Request,
    Settings,
    Timing,
    simulate,
)

MINUTE, HOUR = 60_000, 3_600_000
QUICK = Timing(launch=4 * MINUTE, boot=30_000, image=MINUTE)


def test_who_finds_an_idle_machine_waits_for_the_start_only() -> None:
    found = simulate(
        Settings(idle_minutes=60), [Request(0, 2, 10 * MINUTE), Request(20 * MINUTE, 2, MINUTE)], QUICK
    )
    assert found.waits == (270.0, 30.0)
    # Both idle from 14.5 to 20 minutes; the second cluster ends at 21.5, when counting ends.
    assert found.idle_machine_hours == pytest.approx(2 * 5.5 / 60)
    assert found.most_used == 2


def test_after_the_idle_minutes_a_machine_is_gone() -> None:
    found = simulate(Settings(idle_minutes=10), [Request(0, 1, MINUTE), Request(HOUR, 1, MINUTE)], QUICK)
    assert found.waits == (270.0, 270.0)
    assert found.idle_machine_hours == pytest.approx(10 / 60)


def test_the_least_number_idles_for_ever_and_is_filled_up() -> None:
    requests = [Request(0, 1, MINUTE), Request(HOUR, 1, HOUR), Request(HOUR + 5 * MINUTE, 1, MINUTE)]
    found = simulate(Settings(min_idle=1, idle_minutes=0), requests, QUICK)
    # The first takes the one that is being launched; the others find one that idles, since each taken is replaced.
    assert found.waits == (270.0, 30.0, 30.0)


def test_a_runtime_that_was_not_preloaded_is_fetched() -> None:
    assert simulate(Settings(), [Request(0, 1, 0, preloaded=False)], QUICK).waits == (330.0,)


def test_a_full_pool_refuses_and_gives_nothing() -> None:
    pool = Machines(Settings(max_capacity=3), launch=MINUTE, at=0)
    pool.take(2, 0)
    with pytest.raises(Full) as refused:
        pool.take(2, 0)
    assert (refused.value.asked, refused.value.free, pool.used) == (2, 1, 2)
    found = simulate(
        Settings(max_capacity=3),
        [Request(0, 2, HOUR), Request(1, 2, HOUR), Request(2 * HOUR, 3, HOUR)],
        QUICK,
    )
    assert found.refused == 1 and found.waits[1] is None


def test_capacity_counts_idle_machines_and_gives_them() -> None:
    pool = Machines(Settings(min_idle=5, max_capacity=3), launch=MINUTE, at=0)
    pool.advance(2 * MINUTE)
    assert len(pool.idle) == 3
    assert pool.take(3, 3 * MINUTE) == 3 * MINUTE
    assert not pool.coming and pool.free == 0


def test_a_machine_that_is_being_launched_is_taken_before_another_is() -> None:
    pool = Machines(Settings(min_idle=1), launch=4 * MINUTE, at=0)
    pool.advance(0)
    assert pool.take(1, 3 * MINUTE) == 4 * MINUTE
    assert pool.take(2, 3 * MINUTE) == 7 * MINUTE


def test_the_youngest_idle_machine_is_taken_first() -> None:
    pool = Machines(Settings(), launch=0, at=0)
    pool.take(2, 0)
    pool.give_back(1, MINUTE)
    pool.give_back(1, 5 * MINUTE)
    pool.take(1, 6 * MINUTE)
    assert pool.idle == [MINUTE]


def test_the_oldest_idle_machine_is_let_go_first() -> None:
    pool = Machines(Settings(idle_minutes=10), launch=0, at=0)
    pool.take(2, 0)
    pool.give_back(1, MINUTE)
    pool.give_back(1, 5 * MINUTE)
    assert pool.due() == 11 * MINUTE
    pool.advance(12 * MINUTE)
    assert pool.idle == [5 * MINUTE] and pool.spells == [(MINUTE, 11 * MINUTE)]


def test_a_week_of_thousands_of_requests_obeys_the_laws_of_pools() -> None:
    draw = random.Random(7)
    week = [
        Request(draw.randrange(7 * 24 * HOUR), draw.randint(1, 4), draw.randrange(2 * HOUR))
        for _ in range(5_000)
    ]
    sizes = [
        simulate(Settings(min_idle=size, max_capacity=400, idle_minutes=15), week) for size in (0, 10, 40)
    ]
    assert [len(found.waits) for found in sizes] == [5_000] * 3
    # More machines that idle: nobody waits longer on the whole, and idling costs more.
    means = [sum(wait for wait in found.waits if wait is not None) for found in sizes]
    idle = [found.idle_machine_hours for found in sizes]
    assert means == sorted(means, reverse=True) and idle == sorted(idle)
    assert {wait for found in sizes for wait in found.waits if wait is not None} >= {CLOUD.boot / 1000}
    assert all(
        CLOUD.boot / 1000 <= wait <= (CLOUD.boot + CLOUD.launch) / 1000
        for found in sizes
        for wait in found.waits
        if wait is not None
    )
    tight = simulate(Settings(max_capacity=20), week)
    assert tight.refused > 0 and tight.most_used <= 20
