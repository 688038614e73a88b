"""Usage by the clock, against sums worked out by hand."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

from labs_lib.workspace.compute.billing import HOUR, MINUTE, Spell, node_rows, usage_rows

START = 1_800_000_000_000 - 1_800_000_000_000 % HOUR
SPELL = Spell(
    "c",
    START + 30 * MINUTE,
    START + 150 * MINUTE,
    "i3.xlarge",
    "m5.xlarge",
    2,
    "ana@example.com",
    tags={"team": "risk"},
)


def test_two_hours_over_three_hours_of_the_clock() -> None:
    rows = list(usage_rows([SPELL], START, START + 10 * HOUR))
    by_node = {
        node: [row["usage_quantity"] for row in rows if row["usage_metadata"]["node_type"] == node]
        for node in ("i3.xlarge", "m5.xlarge")
    }
    assert by_node == {
        "i3.xlarge": [Decimal("0.5"), 1, Decimal("0.5")],
        "m5.xlarge": [Decimal("0.69"), Decimal("1.38"), Decimal("0.69")],
    }
    assert {row["sku_name"] for row in rows} == {"PREMIUM_ALL_PURPOSE_COMPUTE"}
    assert all(
        row["custom_tags"] == {"team": "risk"} and row["usage_end_time"] > row["usage_start_time"]
        for row in rows
    )
    assert len({row["record_id"] for row in rows}) == len(rows)


def test_parts_add_up_to_the_whole() -> None:
    whole = sum(row["usage_quantity"] for row in usage_rows([SPELL], START, START + 10 * HOUR))
    cuts = [START, START + 37 * MINUTE, START + 61 * MINUTE, START + 100 * MINUTE, START + 10 * HOUR]
    parts = sum(row["usage_quantity"] for a, b in pairwise(cuts) for row in usage_rows([SPELL], a, b))
    assert whole == parts == Decimal("4.76")  # 2 h x (1.00 + 2 x 0.69)


def test_what_lasts_still_is_counted_to_the_moment_asked_for() -> None:
    lasting = Spell(
        "c", START, None, "m5.large", "m5.large", 0, "ana@example.com", engine="PHOTON", source="JOB"
    )
    (row,) = usage_rows([lasting], START, START + 30 * MINUTE)
    assert row["usage_quantity"] == Decimal("0.34") and row["sku_name"] == "PREMIUM_JOBS_COMPUTE_(PHOTON)"


def test_a_machine_has_a_row_a_minute_with_the_share_that_was_used() -> None:
    spell = Spell(
        "c",
        START,
        START + 2 * MINUTE,
        "m5.large",
        "i3.xlarge",
        1,
        "ana@example.com",
        busy=((START + 30_000, START + MINUTE),),
    )
    rows = list(node_rows([spell], START, START + HOUR))
    assert [(row["driver"], row["node_type"], row["cpu_user_percent"]) for row in rows] == [
        (True, "m5.large", 50.0),
        (False, "i3.xlarge", 50.0),
        (True, "m5.large", 0.0),
        (False, "i3.xlarge", 0.0),
    ]
    assert len({row["instance_id"] for row in rows}) == 2


def test_times_of_work_count_in_each_minute_that_they_touch() -> None:
    busy = ((START + 90_000, START + 210_000), (START + 215_000, START + 216_500))
    spell = Spell("c", START, START + 5 * MINUTE, "m5.large", "m5.large", 0, "ana@example.com", busy=busy)
    rows = list(node_rows([spell], START, START + HOUR))
    assert [row["cpu_user_percent"] for row in rows] == [0.0, 50.0, 100.0, 52.5, 0.0]
