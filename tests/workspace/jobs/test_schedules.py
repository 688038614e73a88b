"""Quartz expressions: when they fire, and which are refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from labs_lib.workspace.ground.errors import InvalidParameter
from labs_lib.workspace.jobs import quartz


def fires(expression: str, after: str, timezone: str = "UTC", count: int = 2) -> list[str]:
    moment = round(datetime.fromisoformat(after).replace(tzinfo=UTC).timestamp() * 1000)
    found = []
    for _ in range(count):
        following = quartz.following(expression, timezone, moment)
        if following is None:
            break
        assert following > moment
        moment = following
        found.append(datetime.fromtimestamp(moment / 1000, UTC).isoformat(" ")[:19])
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 30 2 * * ?", ["2026-03-02 02:30:00", "2026-03-03 02:30:00"]),
        ("15 0 9 ? * MON-FRI", ["2026-03-02 09:00:15", "2026-03-03 09:00:15"]),
        ("0 0 9 ? * 2", ["2026-03-02 09:00:00", "2026-03-09 09:00:00"]),  # 2 is Monday
        (
            "0 0 9 ? * 1",
            ["2026-03-08 09:00:00", "2026-03-15 09:00:00"],
        ),  # 1 is Sunday: 1 March is over by noon
        ("0 0 9 ? * 6L", ["2026-03-27 09:00:00", "2026-04-24 09:00:00"]),  # the month's last Friday
        ("0 0 9 ? * fri#3", ["2026-03-20 09:00:00", "2026-04-17 09:00:00"]),
        ("0 0 9 ? * L", ["2026-03-07 09:00:00", "2026-03-14 09:00:00"]),
        ("0 0 9 L * ?", ["2026-03-31 09:00:00", "2026-04-30 09:00:00"]),
        ("0 0/20 13 * * ?", ["2026-03-01 13:00:00", "2026-03-01 13:20:00"]),
        ("0 0 9 1 1 ? 2027", ["2027-01-01 09:00:00"]),
        ("0 0 9 1 1 ? 2020", []),
    ],
)
def test_when_a_schedule_fires(expression: str, expected: list[str]) -> None:
    assert fires(expression, "2026-03-01 12:00:00") == expected


def test_a_schedule_follows_its_time_zone_over_the_change_of_the_clocks() -> None:
    assert fires("0 0 9 * * ?", "2026-03-28 00:00:00", "Europe/Berlin") == [
        "2026-03-28 08:00:00",
        "2026-03-29 07:00:00",
    ]


@pytest.mark.parametrize(
    "expression",
    [
        "30 2 * * *",
        "0 30 2 * * *",
        "0 30 2 ? * ?",
        "0 30 2 1 * MON",
        "0 61 2 * * ?",
        "0 0 9 ? * 8",
        "0 0 9 ? * 0",
        "0 0 9 15W * ?",
        "0 0 9 ? * MON-",
        "@daily",
        "",
        "0 0 9 ? * 2" + "," + ",".join(["3"] * 200),
        "0 0 9 ? * 2; DROP TABLE jobs",
    ],
)
def test_what_quartz_would_not_take_is_refused(expression: str) -> None:
    with pytest.raises(InvalidParameter):
        quartz.check(expression, "UTC")


@pytest.mark.parametrize("zone", ["Mars/Base", "", "../../etc/passwd", "Europe"])
def test_time_zones_that_are_none(zone: str) -> None:
    with pytest.raises(InvalidParameter):
        quartz.check("0 30 2 * * ?", zone)
