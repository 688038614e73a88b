"""Quartz cron expressions, which Databricks schedules are written in, in croniter's terms.

Quartz has seconds first, counts weekdays from 1 (Sunday) to 7, and wants `?` in exactly one of day of month and day of week.
Source: quartz-scheduler.org, "CronTrigger Tutorial".
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import CroniterBadDateError, CroniterError, croniter

from labs_lib.workspace.ground.errors import InvalidParameter

_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_DAY = r"(?:[1-7]|SUN|MON|TUE|WED|THU|FRI|SAT)"
_LONGEST = 200  # characters; an expression is a line, not a program


def check(expression: str, timezone: str) -> None:
    """Raise InvalidParameter, which names the field, if that is no schedule that Quartz takes and this workspace keeps."""
    _zone(timezone)
    _translate(expression)


def following(expression: str, timezone: str, after: int) -> int | None:
    """The first moment after that one at which the schedule fires; None if there is none any more. Milliseconds since 1970."""
    begin = datetime.fromtimestamp(after / 1000, UTC).astimezone(_zone(timezone))
    try:
        found: datetime = croniter(_translate(expression), begin, second_at_beginning=True).get_next(datetime)
    except CroniterBadDateError:
        return None
    return round(found.timestamp() * 1000)


@lru_cache(maxsize=256)
def _zone(timezone: str) -> ZoneInfo:
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidParameter(
            f"The time zone {timezone!r} of the schedule is unknown; write one such as Europe/Berlin or UTC."
        ) from None


@lru_cache(maxsize=256)
def _translate(expression: str) -> str:
    fields = expression.upper().split()
    if len(expression) > _LONGEST or len(fields) not in (6, 7):
        raise InvalidParameter(
            f"The cron expression {expression[:80]!r} has {len(fields)} fields; Quartz wants six or seven: seconds, minutes, hours, "
            "day of month, month, day of week and, if you like, the year."
        )
    if [fields[3], fields[5]].count("?") != 1:
        raise InvalidParameter(
            f"The cron expression {expression!r} must have '?' in exactly one of day of month and day of week."
        )
    if "W" in fields[3]:
        raise InvalidParameter(
            f"The day of month {fields[3]!r} in {expression!r} asks for the nearest weekday, which this workspace doesn't keep."
        )
    days = _weekdays(fields[5], expression)
    plain = [*fields[:3], fields[3].replace("?", "*"), fields[4], days, *fields[6:]]
    try:
        croniter(" ".join(plain), datetime(2026, 1, 1, tzinfo=UTC), second_at_beginning=True)
    except (CroniterError, ValueError, KeyError) as error:
        raise InvalidParameter(f"The cron expression {expression!r} can't be read: {error}.") from None
    return " ".join(plain)


def _weekdays(field: str, expression: str) -> str:
    """A day-of-week field with 0 to 6 for Quartz's 1 to 7; `6L`, the month's last Friday, as `L5`."""
    if field in ("?", "*"):
        return "*"
    if field == "L":  # alone it is the week's last day
        return "6"
    if match := re.fullmatch(rf"({_DAY})L", field):
        return f"L{_number(match[1])}"
    if match := re.fullmatch(rf"({_DAY})#([1-5])", field):
        return f"{_number(match[1])}#{match[2]}"
    parts = []
    for part in field.split(","):
        match = re.fullmatch(rf"(\*|{_DAY})(?:-({_DAY}))?(?:/(\d+))?", part)
        if match is None or (match[1] == "*" and match[2]):
            raise InvalidParameter(
                f"The day of week {part!r} in {expression!r} is none of 1 to 7 or SUN to SAT."
            )
        first = "*" if match[1] == "*" else str(_number(match[1]))
        last = f"-{_number(match[2])}" if match[2] else ("-6" if match[3] and first != "*" else "")
        parts.append(first + last + (f"/{match[3]}" if match[3] else ""))
    return ",".join(parts)


def _number(day: str) -> int:
    return int(day) - 1 if day.isdecimal() else _DAYS.index(day)
