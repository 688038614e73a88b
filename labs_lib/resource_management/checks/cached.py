"""Step 5a.4, caching under a budget: the policy on three fresh weeks, and on Spark's own cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from labs_lib.checking.evidence import Evidence
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding
from labs_lib.driving.driver import Child, Lost
from labs_lib.errors import LabsError
from labs_lib.resource_management.checks.fresh import fresh
from labs_lib.resource_management.queries.caching import Event, Played, Week, best, cache_week, play
from labs_lib.resource_management.queries.till import play_week

WEEKS = 3
SAVED = 0.8  # of what the best fixed choice of blocks saves that knows the week beforehand
SAME = 0.05  # relative, of bytes in the cache
FIGURES = ("queries", "hits", "stale", "files_without", "files_read")


class _Policy:
    """The learner's policy as the driver leads it, for what plays a week with an object of this process."""

    def __init__(self, child: Child, *given: Any) -> None:
        self.child = child
        if error := child.make(*given).error:
            raise LabsError(f"CachePolicy ends with {error}")

    def look(self, event: Event, cached: list[str]) -> Any:
        answer = self.child.call("look", event, cached)
        if answer.error:
            raise LabsError(f"`look` ends with {answer.error}.")
        return answer.value


def observe_5a_4(observer: Observer) -> dict[str, Any]:
    """Three fresh weeks, and for a judge the short one on Spark that the answer reports of."""
    draw, weeks = fresh(observer), []
    try:
        for number in range(WEEKS):
            week = cache_week(observer.lab.seed, f"{draw} {number}")
            played = _with(observer, partial(_play, week))
            weeks.append(
                {
                    "stale": played.stale,
                    "share": played.bytes / week.budget,
                    "saved": played.saved / best(week).saved,
                }
            )
        real = None if observer.trusting else _with(observer, lambda made: play_week(observer.lab, made))
    except (Lost, LabsError) as error:
        return {"ended": f"CachePolicy {error}" if isinstance(error, Lost) else str(error)}
    return {"ended": "", "weeks": weeks, "real": real}


def _play(week: Week, make: Callable[..., _Policy]) -> Played:
    return play(week, make(week.budget, week.blocks, week.history).look)


def _with(observer: Observer, action: Callable[[Callable[..., _Policy]], Any]) -> Any:
    with observer.child("CachePolicy") as child:
        return action(lambda *given: _Policy(child, *given))


def judge_5a_4(evidence: Evidence) -> Iterator[Finding]:
    """No stale answer, within the budget, and enough files saved; then the figures of the week on Spark."""
    observed, told = evidence.observed, evidence.answers["till_week"]
    if observed["ended"]:
        yield Finding("the policy", False, "an answer to each event of a week", observed["ended"], weight=6)
        return
    weeks = observed["weeks"]
    stale = sum(week["stale"] for week in weeks)
    yield Finding(
        "fresh answers",
        stale == 0,
        "none from a block that was cached before a write to its tables",
        f"{stale} stale answers in {WEEKS} weeks" if stale else "none stale",
        "`look` is called after each write, with the table's name: that is the moment to drop what stands on it.",
        weight=2,
    )
    most = max(week["share"] for week in weeks)
    yield Finding(
        "the budget",
        most <= 1,
        "never more bytes cached than the budget",
        "kept" if most <= 1 else f"{most:.2f} times the budget",
        "Sum the bytes of what is cached and of what you would add.",
        weight=2,
    )
    saved = min(week["saved"] for week in weeks)
    yield Finding(
        "files not read",
        saved >= SAVED,
        f"at least {SAVED:.0%} of what the best choice of blocks would save, in each week",
        f"{saved:.0%}",
        "Count for each block how many reads last week's cache would have saved, writes included: a block that is asked all day and written all day saves next to nothing.",
        weight=2,
    )
    real = observed["real"] or told
    same = all(told.get(name) == real[name] for name in FIGURES) and (
        abs(told.get("bytes", 0) - real["bytes"]) <= SAME * max(real["bytes"], 1)
    )
    yield Finding(
        "the week on Spark",
        same
        and real["stale"] == 0
        and 0 < real["bytes"] <= real["budget"]
        and real["files_read"] < real["files_without"],
        "figures of `play_week` with this policy: none stale, bytes within the budget, fewer files read",
        f"{real['stale']} stale, {real['files_read']} files for {real['files_without']}"
        + ("" if same else "; the answer tells others"),
        "Play the week with the policy as it is now, and keep what `play_week` returns.",
    )
