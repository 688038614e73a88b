"""Step 5a.3, dynamic partition pruning: how each of six queries prunes, and one that was mended."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

from labs_lib.checking.evidence import Evidence
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding
from labs_lib.engine.session import spark_conf
from labs_lib.measuring.spark_ui import measure
from labs_lib.resource_management.queries.pruning import (
    DEFAULTS,
    files_of,
    kinds,
    lay,
    prunes_by_join,
    pruning_queries,
    weeks_of,
)

WORDS = ("dynamic", "static", "key", "outer")


def observe_5a_3(observer: Observer) -> dict[str, Any]:
    """The mended query's plan, files and rows. A judge deals the amounts of the table anew, so rows have to be worked out from it."""
    lab = observer.lab
    lay(lab, None if observer.trusting else secrets.randbits(64))
    right = kinds(lab.seed)
    broken = next(name for name, kind in right.items() if kind == "key")
    with spark_conf(lab.spark, DEFAULTS):
        run = measure(observer.frame("pruned"))
        wanted = pruning_queries(lab)[broken]
        same = _rows(observer.frame("pruned")) == _rows(wanted)
    return {
        "kinds": right,
        "dynamic": prunes_by_join(run),
        "files": files_of(run),
        "same": same,
        **{f"{name}_files": count for name, count in weeks_of(lab).items()},
    }


def _rows(frame: Any) -> list[tuple[int, float]]:
    named = {name.lower(): name for name in frame.columns}
    if set(named) != {"store_id", "sales"}:
        return []
    rows = frame.select(named["store_id"], named["sales"]).limit(10_000).collect()
    return sorted((row[0], round(float(row[1]), 2)) for row in rows if None not in tuple(row))


def judge_5a_3(evidence: Evidence) -> Iterator[Finding]:
    """Each query by its kind, then the mended one by its plan and by what it reads."""
    observed, told = evidence.observed, evidence.answers["pruning"]
    for kind, look in (
        ("dynamic", "`IN dynamicpruning` stands among the PartitionFilters of the plan that ran, with a subquery below the scan."),
        ("static", "The partitions are known before anything runs: the text's own example, and a list that the driver collected, are of this kind."),
        ("key", "It is an inner join, and its key is no partition column."),
        ("outer", "A left join keeps every row of its left side, whatever the filter on the right."),
    ):  # fmt: skip
        wanted = sorted(name for name, each in observed["kinds"].items() if each == kind)
        named = sorted(name for name, each in told.items() if each == kind)
        yield Finding(
            f"the queries of kind {kind!r}",
            named == wanted,
            "those whose plan and files show it",
            ", ".join(named)[:60] or "none",
            look,
        )
    yield Finding(
        "the mended query's plan",
        observed["dynamic"],
        "`dynamicpruning` in the PartitionFilters of the plan that ran",
        "it is there" if observed["dynamic"] else "it isn't there",
        "The calendar's filter has to reach a join whose key is the partition column.",
        weight=2,
    )
    yield Finding(
        "the files that it reads",
        0 < observed["files"] <= observed["wanted_files"],
        f"those of the event's weeks, {observed['wanted_files']} of {observed['files_files']}",
        f"{observed['files']}",
        "A query with a list of weeks in it reads as few, until the calendar changes.",
    )
    yield Finding(
        "its rows",
        observed["same"],
        "the stores and sales of the query that didn't prune",
        "those" if observed["same"] else "others",
        "The day still has to match as well.",
        weight=2,
    )
