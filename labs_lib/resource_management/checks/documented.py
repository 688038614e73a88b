"""Step 5a.5, measure and document: each figure of the table found again in the runs that it names."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from typing import Any

from labs_lib.checking.evidence import Evidence
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding
from labs_lib.engine.session import spark_conf
from labs_lib.measuring.spark_ui import Run
from labs_lib.resource_management.queries.pruning import DEFAULTS, files_of, lay
from labs_lib.resource_management.queries.skew import CLUSTER
from labs_lib.resource_management.queries.tasks import largest_share

RUNS = 3
SAME = 0.03  # relative: bytes of the same rows differ a little from run to run
LISTS = {"salting": ("skewed_runs", "salted_runs"), "pruning": ("unpruned_runs", "pruned_runs")}
FIGURES: dict[str, tuple[str, Callable[[Run], float]]] = {
    "largest_share": ("salting", largest_share),
    "shuffle_bytes": ("salting", lambda run: run.shuffle_bytes),
    "files_read": ("pruning", files_of),
}


def observe_5a_5(observer: Observer) -> dict[str, Any]:
    """The figures of each measured run, read from the engine again."""
    found: dict[str, list[dict[str, Any]]] = {}
    for change, lists in LISTS.items():
        with spark_conf(observer.lab.spark, CLUSTER if change == "salting" else DEFAULTS):
            if change == "pruning":
                lay(observer.lab)
            for name in lists:
                found[name] = [
                    {"tag": captured["tag"]}
                    | {figure: read(run) for figure, (of, read) in FIGURES.items() if of == change}
                    for captured, run in zip(observer.answer(name), observer.runs(name), strict=True)
                ]
    return found


def judge_5a_5(evidence: Evidence) -> Iterator[Finding]:
    """Enough runs, a row for each figure with the medians of its runs, and a plot of the same figures."""
    observed, rows = evidence.observed, evidence.answers["before_after"]
    for name, runs in observed.items():
        different = len({run["tag"] for run in runs})
        yield Finding(
            f"`{name}`",
            different >= RUNS,
            f"{RUNS} or more measured runs",
            f"{different} runs" if different != 1 else "1 run",
            "Call `measure` once for each run: the same result listed again is one run.",
        )
    table = {(str(row.get("change")), str(row.get("figure"))): row for row in rows}
    right: dict[str, list[float]] = {}
    for figure, (change, _) in FIGURES.items():
        row = table.get((change, figure), {})
        medians = [statistics.median(run[figure] for run in observed[name]) for name in LISTS[change]]
        right[f"{change}: {figure}"] = [median / medians[0] for median in medians]
        said = [row.get("before"), row.get("after")]
        fits = bool(row) and all(_near(one, other) for one, other in zip(said, medians, strict=True))
        yield Finding(
            f"{change}: {figure}",
            fits,
            "the median of the runs before, and that of the runs after",
            "those" if fits else "no such row" if not row else f"{said[0]} before, {said[1]} after",
            "A row has change, figure, before, after and runs; the figure is worked out for each run, and then the median is taken.",
            weight=2,
        )
        counts = [len({run["tag"] for run in observed[name]}) for name in LISTS[change]]
        counted = bool(row) and row.get("runs") == min(counts)
        yield Finding(
            f"{change}: how many runs {figure} rests on",
            counted,
            "the number of runs on each side, the smaller one if they differ",
            str(row.get("runs"))[:20] if row else "no such row",
        )
    lower = [
        name for name in ("salting: largest_share", "pruning: files_read") if right[name][1] < right[name][0]
    ]
    yield Finding(
        "the effects",
        len(lower) == len(LISTS),
        "a smaller share of the largest task, and fewer files read, after than before",
        "both" if len(lower) == len(LISTS) else ", ".join(lower) or "neither",
        "`salted` of 5a.2 and `pruned` of 5a.3 are what is measured after.",
    )
    drawn = evidence.answers["drawn"]
    fits = set(right) <= set(drawn) and all(
        isinstance(drawn[name], list) and len(drawn[name]) == 2 and all(map(_near, drawn[name], wanted))
        for name, wanted in right.items()
    )
    yield Finding(
        "what is drawn",
        fits,
        "for each row its two bars, in shares of the figure before",
        "that" if fits else f"{sorted(drawn)}"[:120],
        "Names such as 'pruning: files_read', each with two numbers, of which the first is 1.",
    )


def _near(one: Any, other: float) -> bool:
    return isinstance(one, int | float) and abs(one - other) <= SAME * max(abs(other), 1e-9)
