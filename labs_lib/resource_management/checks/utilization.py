"""Step 5b.5, utilization: fresh months through the learner's function, to the cent, and the plot against what it shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from labs_lib.checking.evidence import Evidence
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding
from labs_lib.driving.driver import Lost
from labs_lib.resource_management.checks.fresh import fresh
from labs_lib.resource_management.company import company
from labs_lib.resource_management.month import SHARED, Traits, month

CENT = Decimal("0.01")
NOTHING = Traits(False, False, False, False)
MONTHS = {
    "plain": NOTHING,
    "prices": Traits(False, False, False, True),
    "corrected": Traits(False, False, True, False),
    "shared": Traits(True, False, False, False),
    "untagged": Traits(False, True, False, False),
    "whole": Traits(),
}
FORECAST = Decimal("0.001")  # of the sum
IDLE = 0.001
DRAWN = 0.5


def observe_5b_5(observer: Observer) -> dict[str, Any]:
    """What the function makes of each month, and what is right."""
    seed, which = observer.lab.seed, fresh(observer)
    months = {name: month(seed, f"{which} {name}", traits) for name, traits in MONTHS.items()}
    said: dict[str, Any] = {}
    ended = ""
    try:
        with observer.child("charge_back") as child:
            for name, given in months.items():
                answer = child.call("", given)
                said[name] = answer.value
                ended = ended or (f"charge_back ends with {answer.error}" if answer.error else "")
    except Lost as lost:
        ended = f"charge_back {lost}"
    return {
        "said": said,
        "ended": ended,
        "right": {name: counted(given) for name, given in months.items()},
        "to_draw": counted(month(seed, "this")),
        "teams": list(company(seed).teams),
    }


def judge_5b_5(evidence: Evidence) -> Iterator[Finding]:
    """A finding for each thing that a month may have in it, for the sum, and for the plot."""
    observed = evidence.observed
    said, right = observed["said"], observed["right"]
    if observed["ended"]:
        yield Finding("the months", False, "a report for each", observed["ended"], weight=7)
    else:
        for name, title, expected, look in (
            ("plain", "a plain month", "each team's own clusters", "Usage by the tag `team`, times the price of its SKU."),
            ("prices", "a new price", "the price of the moment at which it was used", "A price holds from its start to its end; the last one has no end."),
            ("corrected", "corrections", "a retraction takes back, a restatement counts", "Retractions have negative quantities. What happens to a sum if you leave out, or take the amount?"),
            ("shared", "shared clusters", "each day's cost by the teams' seconds of that day; the platform's where nobody worked", "Split day by day: the share of a month is another one."),
            ("untagged", "untagged use", "a line of its own", "No `team` among the tags is nobody's, not everybody's."),
        ):  # fmt: skip
            yield Finding(title, *_lines(said.get(name), right[name], expected), look)
        yield _sum(said.get("whole"), right["whole"])
        yield _idle(said.get("whole"), right["whole"])
        yield _forecast(said, right)
    yield _plot(evidence.answers["drawn"], observed["to_draw"])


def _lines(said: Any, right: dict[str, Any], expected: str) -> tuple[bool, str, str]:
    found = {name: _money(value) for name, value in _told(said, "costs").items()}
    exact = {name: Decimal(value) for name, value in right["costs"].items()}
    wrong = [
        f"{name} {found.get(name, 'is not there')} for {value.quantize(CENT)}"
        for name, value in exact.items()
        if (name in found or value > CENT) and abs((found.get(name) or Decimal(0)) - value) > CENT
    ]
    wrong += [f"a line {name!r}" for name, value in found.items() if name not in exact and value]
    return not wrong, expected, "; ".join(wrong[:3]) or "that"


def _sum(said: Any, right: dict[str, Any]) -> Finding:
    costs = [_money(value) for value in _told(said, "costs").values()]
    ok, _, found = _lines(said, right, "")
    total, exact = _money(said.get("total") if isinstance(said, dict) else None), Decimal(right["total"])
    cents = all(value is not None and value == value.quantize(CENT) for value in [*costs, total])
    adds = cents and sum(value for value in costs if value is not None) == total
    near = total is not None and abs(total - exact) <= CENT
    said_so = f"lines of {sum(value or Decimal(0) for value in costs)} and a total of {total}, for {exact.quantize(CENT)}"
    return Finding(
        "the sum",
        ok and adds and near,
        "of a month with all of it: lines in whole cents that add up to the total",
        found if adds and near else said_so,
        "Round once, at the end, and give the cents that are missing to somebody.",
        2,
    )


def _idle(said: Any, right: dict[str, Any]) -> Finding:
    found = _told(said, "idle")
    wrong = [
        f"{team} {found.get(team)} for {share:.3f}"
        for team, share in right["idle"].items()
        if not isinstance(found.get(team), int | float) or abs(found[team] - share) > IDLE
    ]
    return Finding(
        "idle share",
        not wrong,
        "of a team's own clusters: machine-minutes in which nothing ran, of all",
        "; ".join(wrong[:3]) or "that",
        "Add up minutes before you divide: the mean of daily shares is another figure.",
    )


def _forecast(said: dict[str, Any], right: dict[str, Any]) -> Finding:
    """Held against every month: of one alone, a straight line may come to the same within the tolerance."""
    wrong = []
    for name, month_of in right.items():
        told = said.get(name)
        found = _money(told.get("forecast") if isinstance(told, dict) else None)
        wanted = Decimal(month_of["forecast"])
        if found is None or abs(found - wanted) > FORECAST * wanted:
            wrong.append(f"{found} for {wanted.quantize(CENT)}")
    return Finding(
        "forecast",
        not wrong,
        "what was used, and for each day to come the mean of its weekday so far",
        "; ".join(wrong[:2]) or "that",
        "A weekday's mean is over the days so far that were that weekday, also those without any cost.",
    )


def _plot(drawn: Any, right: dict[str, Any]) -> Finding:
    bars, wrong = _told(drawn, "bars"), []
    for name, value in right["costs"].items():
        mine = [height for label, height in bars.items() if name in str(label)]
        if len(mine) != 1 or abs(float(mine[0]) - float(value)) > DRAWN:
            wrong.append(f"{name}: {', '.join(str(height) for height in mine) or 'no bar'}")
    if len(bars) > len(right["costs"]):
        wrong.append(f"{len(bars)} bars for {len(right['costs'])} lines")
    wrong += [f"no {part}" for part in ("title", "unit") if not (isinstance(drawn, dict) and drawn.get(part))]
    return Finding(
        "the plot",
        not wrong,
        "a bar for each line, as high as what was counted, with a title and a unit",
        "; ".join(wrong[:3]) or "that",
        "`bars_of(figure)` reads back what the picture says.",
    )


def _told(said: Any, part: str) -> dict[str, Any]:
    found = said.get(part) if isinstance(said, dict) else None
    return found if isinstance(found, dict) else {}


def _money(value: Any) -> Decimal | None:
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() and abs(found) < 10**12 else None


# What is right


def counted(told: dict[str, Any]) -> dict[str, Any]:
    """A month's lines, total, idle shares and forecast, exactly; amounts as text."""
    costs: dict[str, Decimal] = defaultdict(Decimal)
    days: dict[str, Decimal] = defaultdict(Decimal)
    shared: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    teams: dict[str, str] = {}
    for row in told["usage"]:
        cost = Decimal(row["usage_quantity"]) * _price(told["prices"], row)
        team = row["custom_tags"].get("team")
        days[row["usage_date"]] += cost
        if team == SHARED:
            shared[row["cluster_id"], row["usage_date"]] += cost
        else:
            costs[team or "untagged"] += cost
            if team:
                teams[row["cluster_id"]] = team
    for (cluster, day), cost in shared.items():
        seconds: dict[str, int] = defaultdict(int)
        for row in told["work"]:
            if (row["cluster_id"], row["day"]) == (cluster, day):
                seconds[row["team"]] += row["seconds"]
        for team, used in (seconds or {"platform": 1}).items():
            costs[team] += cost * used / sum(seconds.values() or [1])
    minutes: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in told["nodes"]:
        if team := teams.get(row["cluster_id"]):
            minutes[team][0] += row["machine_minutes"]
            minutes[team][1] += row["busy_minutes"]
    total = sum(costs.values(), Decimal(0))
    return {
        "costs": {name: str(cost) for name, cost in sorted(costs.items())},
        "total": str(total),
        "idle": {team: 1 - busy / machine for team, (machine, busy) in sorted(minutes.items())},
        "forecast": str(total + _to_come(told, days)),
    }


def _price(prices: list[dict[str, Any]], row: dict[str, Any]) -> Decimal:
    at = row["usage_start_time"]
    return next(
        Decimal(each["price"])
        for each in prices
        if each["sku_name"] == row["sku_name"]
        and each["price_start_time"] <= at
        and (each["price_end_time"] is None or at < each["price_end_time"])
    )


def _to_come(told: dict[str, Any], days: dict[str, Decimal]) -> Decimal:
    through = date.fromisoformat(told["through"])
    past = [through.replace(day=number) for number in range(1, through.day + 1)]
    coming = [through + timedelta(days=number) for number in range(1, told["days"] - through.day + 1)]
    found = Decimal(0)
    for day in coming:
        same = [days.get(each.isoformat(), Decimal(0)) for each in past if each.weekday() == day.weekday()]
        found += sum(same, Decimal(0)) / len(same)
    return found
