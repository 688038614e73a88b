"""Step 5a.2, the skewed join: the largest task's share with AQE's settings, and with a salt on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labs_lib.checking.evidence import Evidence
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding
from labs_lib.engine.session import spark_conf
from labs_lib.measuring.plans import SHUFFLED_JOINS
from labs_lib.measuring.spark_ui import Run, measure
from labs_lib.resource_management.queries.skew import CLUSTER, skewed_join
from labs_lib.resource_management.queries.tasks import largest_share

BOUND = 0.15  # of the join's shuffle bytes in its largest task: sixteen equal ones would have 0.06 each
MORE = 1.5  # shuffle bytes, for what the skewed join shuffles
MAY_SET = ("spark.sql.adaptive.", "spark.sql.files.maxPartitionBytes")
BROADCAST = "spark.sql.adaptive.autobroadcastjointhreshold"


def observe_5a_2(observer: Observer) -> dict[str, Any]:
    """The join as it is and under the settings, and the salted one, each run by the check."""
    settings = {str(name): str(value) for name, value in observer.answer("aqe_settings").items()}
    allowed = {
        name: value
        for name, value in settings.items()
        if name.startswith(MAY_SET) and name.lower() != BROADCAST
    }
    spark = observer.lab.spark
    with spark_conf(spark, CLUSTER):
        plain = _figures(measure(skewed_join(observer.lab)))
        salted = _figures(measure(observer.frame("salted")))
        with spark_conf(spark, allowed):
            adapted = _figures(measure(skewed_join(observer.lab)))
    return {
        "refused": sorted(settings.keys() - allowed.keys()),
        "plain": plain,
        "adapted": adapted,
        "salted": salted,
    }


def _figures(run: Run) -> dict[str, Any]:
    return {
        "share": largest_share(run),
        "bytes": run.shuffle_bytes,
        "split": "skew=true" in run.plan,
        "joins": sum(map(run.count, SHUFFLED_JOINS)),
    }


def judge_5a_2(evidence: Evidence) -> Iterator[Finding]:
    """Both ways under the bound, each by what it is meant to work with."""
    observed = evidence.observed
    adapted, salted, plain = observed["adapted"], observed["salted"], observed["plain"]
    yield Finding(
        "the settings",
        not observed["refused"],
        "AQE's own, spark.sql.adaptive.*, and spark.sql.files.maxPartitionBytes",
        ", ".join(observed["refused"])[:120] or "those",
        "More shuffle partitions don't help a single key, and the broadcast stays off on this cluster.",
    )
    yield Finding(
        "AQE splits the partition",
        adapted["split"],
        "a join with skew=true in the plan that ran",
        "it is there" if adapted["split"] else "it isn't there",
        "A partition has to be larger than the threshold, and larger than the factor times the median one.",
    )
    yield Finding(
        "the largest task with AQE",
        adapted["share"] <= BOUND,
        f"at most {BOUND:.0%} of the bytes of its stage",
        f"{adapted['share']:.0%}",
        "AQE cuts a partition where one map task's output ends and the next one's begins: how many map tasks are there?",
        weight=2,
    )
    yield Finding(
        "the largest task with the salt",
        salted["share"] <= BOUND and salted["joins"] > 0,
        f"at most {BOUND:.0%} of the bytes of its stage, in a join that shuffles",
        f"{salted['share']:.0%}" if salted["joins"] else "no join that shuffles",
        "The salt has to differ among the rows of the hot key. What does spark_partition_id() say of rows that one task reads?",
        weight=2,
    )
    yield Finding(
        "what the salt costs",
        salted["bytes"] <= MORE * plain["bytes"],
        f"at most {MORE:g} times the shuffle bytes of the join as it was",
        f"{salted['bytes'] / plain['bytes']:.1f} times",
        "Only the hot key's rows of the other side have to be there once per salt.",
    )
