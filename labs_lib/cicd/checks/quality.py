"""Step 3a.3, quality rules: silent on clean tables, and each damage named by its own rule with the number of rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from labs_lib.checking.evidence import Evidence, Unusable
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding
from labs_lib.cicd import rulebook
from labs_lib.cicd.checks.drawn import draw
from labs_lib.cicd.project import TEMPLATE
from labs_lib.driving.driver import Lost

PROGRAM = Path(rulebook.__file__).read_text(encoding="utf-8")
SECONDS = 90.0  # for one table, with the start of Spark
CLEAN = 3
RULES = (
    "null_key",
    "duplicate_key",
    "orphan",
    "future_date",
    "impossible_amount",
    "malformed_email",
    "stale_store",
    "half_day_missing",
)
# Two at a time, as neither touches the other's rows.
PAIRS = (
    ("null_key", "malformed_email"),
    ("duplicate_key", "stale_store"),
    ("orphan", "half_day_missing"),
    ("future_date", "impossible_amount"),
)
GOOD_EMAILS = ("{}@example.org", "ann.lee+{}@shop.example.com", "x_{}-y@mail.example.co.uk")
BAD_EMAILS = ("{}example.org", "{}@example", "ann lee{}@example.org", "@example.org", "{}@@example.org")
BAD_AMOUNTS = (-0.01, -12.5, 1000.01, 25_000.0)
DAYS, STORES, HOUSEHOLDS = 5, 4, 12

Tables = dict[str, Any]


def clean(chance: np.random.Generator) -> Tables:
    """Tables in which nothing is wrong, with everything in them that looks odd and is right."""
    today = date(2017, 3, 1) + timedelta(days=int(chance.integers(0, 200)))
    households = [
        [number, None if number % 5 == 0 else GOOD_EMAILS[number % 3].format(number)]
        for number in range(1, HOUSEHOLDS + 1)
    ]
    lines: list[list[Any]] = []
    for back in range(DAYS):
        day = today - timedelta(days=back)
        for store in range(1, STORES + 1):
            if store == STORES and back < 2:
                continue  # its newest day is two days old, which is allowed
            for hour in (0, 9, 12, 23):
                if back == 0 and hour >= 12:
                    continue  # today has only begun
                basket = 10_000 + 1000 * back + 100 * store + hour
                household = None if hour == 9 and store == 2 else int(chance.integers(1, HOUSEHOLDS + 1))
                for product in (7, 8)[: int(chance.integers(1, 3))]:
                    paid = float(chance.choice([0.0, 1000.0, round(float(chance.uniform(0, 90)), 2)]))
                    at = datetime(day.year, day.month, day.day, hour, 0 if hour != 9 else 59)
                    lines.append(
                        [store, household, basket, product, int(chance.integers(0, 4)), paid, at.isoformat()]
                    )
    return {"today": today.isoformat(), "lines": lines, "households": households, "expected": {}}


def damaged(chance: np.random.Generator, names: tuple[str, ...]) -> Tables:
    """Clean tables with these damages, each in rows of its own."""
    tables = clean(chance)
    for name in names:
        tables["expected"][name] = DAMAGE[name](tables, chance)
    return tables


def _some(tables: Tables, chance: np.random.Generator, low: int = 2) -> list[list[Any]]:
    """A few lines of store 1, none of today."""
    mine = [line for line in tables["lines"] if line[0] == 1 and line[6][:10] != tables["today"]]
    return [
        mine[int(place)] for place in chance.choice(len(mine), int(chance.integers(low, 6)), replace=False)
    ]


def _null_key(tables: Tables, chance: np.random.Generator) -> int:
    chosen = _some(tables, chance)
    for number, line in enumerate(chosen):
        line[2 + number % 2] = None
    return len(chosen)


def _duplicate_key(tables: Tables, chance: np.random.Generator) -> int:
    chosen = _some(tables, chance)
    copies = [[*line[:5], 1.0, line[6]] for line in chosen for _ in range(int(chance.integers(1, 3)))]
    tables["lines"].extend(copies)
    return len(copies)


def _orphan(tables: Tables, chance: np.random.Generator) -> int:
    chosen = _some(tables, chance)
    for line in chosen:
        line[1] = 900 + int(chance.integers(0, 9))
    return len(chosen)


def _future_date(tables: Tables, chance: np.random.Generator) -> int:
    tomorrow = date.fromisoformat(tables["today"]) + timedelta(days=1)
    new = [
        [1, 1, 77_000 + number, 7, 1, 1.0, f"{tomorrow}T{hour:02}:00:00"]
        for number, hour in enumerate((0, 13, 18))
    ]
    tables["lines"].extend(new)
    return len(new)


def _impossible_amount(tables: Tables, chance: np.random.Generator) -> int:
    chosen = _some(tables, chance)
    for number, line in enumerate(chosen):
        line[5] = BAD_AMOUNTS[number % len(BAD_AMOUNTS)]
    return len(chosen)


def _malformed_email(tables: Tables, chance: np.random.Generator) -> int:
    places = chance.choice(len(tables["households"]), int(chance.integers(2, 6)), replace=False)
    for number, place in enumerate(places):
        tables["households"][int(place)][1] = BAD_EMAILS[number % len(BAD_EMAILS)].format(number)
    return len(places)


def _stale_store(tables: Tables, chance: np.random.Generator) -> int:
    """A store whose newest day is three days old."""
    oldest = (date.fromisoformat(tables["today"]) - timedelta(days=3)).isoformat()
    store = int(chance.integers(2, STORES + 1))
    tables["lines"] = [line for line in tables["lines"] if line[0] != store or line[6][:10] <= oldest]
    return sum(line[0] == store for line in tables["lines"])


def _half_day_missing(tables: Tables, chance: np.random.Generator) -> int:
    """A day before today without its lines of the morning, or of the afternoon, in all stores."""
    day = (date.fromisoformat(tables["today"]) - timedelta(days=int(chance.integers(1, DAYS)))).isoformat()
    kept = (lambda hour: hour < 12) if chance.random() < 0.5 else (lambda hour: hour >= 12)
    tables["lines"] = [line for line in tables["lines"] if line[6][:10] != day or kept(int(line[6][11:13]))]
    left = [line for line in tables["lines"] if line[6][:10] == day]
    return len(left)


DAMAGE = {
    "null_key": _null_key,
    "duplicate_key": _duplicate_key,
    "orphan": _orphan,
    "future_date": _future_date,
    "impossible_amount": _impossible_amount,
    "malformed_email": _malformed_email,
    "stale_store": _stale_store,
    "half_day_missing": _half_day_missing,
}


def observe_3a_3(observer: Observer) -> dict[str, Any]:
    """What the rules say of clean and of damaged tables, in an order that the child doesn't know."""
    chance = draw(observer, "quality rules")
    tables = [clean(chance) for _ in range(CLEAN)]
    for pair in PAIRS:
        tables.append(damaged(chance, pair[::-1] if pair[1] == "half_day_missing" else pair))
    seen: list[Any] = [None] * len(tables)
    try:
        with observer.program(PROGRAM, "Rules", SECONDS, engine=True) as child:
            made = child.make({**TEMPLATE, **observer.answer("quality_rules")})
            if made.error:
                raise Unusable(f"The rules can't be tried: importing retail.quality ended with {made.error}.")
            for place in chance.permutation(len(tables)):
                each = tables[int(place)]
                answer = child.call("found", each["lines"], each["households"], each["today"])
                if answer.error:
                    raise Unusable(f"The rules can't be tried: check_quality ended with {answer.error}.")
                seen[int(place)] = _counts(answer.value)
    except Lost as lost:
        raise Unusable(f"The rules can't be tried: the process that ran them {lost}.") from None
    return {
        "tables": [
            {"expected": each["expected"], "found": found} for each, found in zip(tables, seen, strict=True)
        ]
    }


def _counts(value: Any) -> dict[str, int]:
    if not isinstance(value, dict):
        return {}
    return {
        str(name)[:40]: rows for name, rows in list(value.items())[:20] if type(rows) is int and rows != 0
    }


def judge_3a_3(evidence: Evidence) -> Iterator[Finding]:
    """Silence where nothing is wrong, and for each damage its rule, its number and no other rule."""
    tables = evidence.observed["tables"]
    silent = all(not each["found"] for each in tables)
    alarms = sorted({name for each in tables if not each["expected"] for name in each["found"]})
    yield Finding(
        "clean tables",
        not alarms and not silent,
        f"nothing is said of {CLEAN} clean tables",
        f"false alarms by {', '.join(alarms)}" if alarms else "nothing is said of any table, clean or not" if silent else "so it is",
        "Bounds belong to what is allowed, null is no e-mail and no orphan, and today has only begun.",
    )  # fmt: skip
    for name in RULES:
        mine = [each for each in tables if name in each["expected"]]
        others = [each for each in tables if name not in each["expected"]]
        right = all(each["found"].get(name) == each["expected"][name] for each in mine)
        quiet = not any(name in each["found"] for each in others)
        found = [each["found"].get(name, 0) for each in mine]
        yield Finding(
            name,
            right and quiet,
            "named where it is damaged, with the number of rows, and nowhere else",
            "named where nothing of it is damaged"
            if right and not quiet
            else "so it is"
            if right
            else f"{found[0]} rows instead of {mine[0]['expected'][name]}"
            if found[0]
            else "not named",
        )
