"""Step 5a.1, three slow reports: each one's illness, with the operator and the figure of a run that prove it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labs_lib.checking.evidence import Evidence
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding
from labs_lib.engine.session import spark_conf
from labs_lib.measuring.spark_ui import measure
from labs_lib.resource_management.queries.reports import OLD_CLUSTER, illnesses, proof, slow_reports

SAME = 0.02  # relative: what is written to disk is compressed, and differs a little from run to run


def observe_5a_1(observer: Observer) -> dict[str, Any]:
    """Each report's illness, and the proof of it in a run that the check makes for itself."""
    with spark_conf(observer.lab.spark, OLD_CLUSTER):
        runs = {name: measure(frame) for name, frame in slow_reports(observer.lab).items()}
    return {
        name: {"illness": illness, "proof": proof(runs[name], illness)}
        for name, illness in illnesses(observer.lab.seed).items()
    }


def judge_5a_1(evidence: Evidence) -> Iterator[Finding]:
    """For each report its illness, and then what proves it."""
    answer = evidence.answers["diagnosis"]
    for name, right in evidence.observed.items():
        row = answer.get(name) or {}
        named = row.get("illness")
        yield Finding(
            f"the illness of {name}",
            named == right["illness"],
            "spill, estimate, exchange or cast: the one that its run shows",
            str(named)[:40],
            "Go through the four proofs one by one: three of them come to nothing in this run.",
            weight=2,
        )
        if named != right["illness"]:
            continue
        operator, figure = right["proof"]
        told, given = str(row.get("operator")), row.get("figure")
        yield Finding(
            f"the operator of {name}",
            told.startswith(operator),
            "the operator at which the figure stands, by its name in the plan",
            told[:40],
            "`operators(run)` lists them from the scans up.",
        )
        fits = isinstance(given, int | float) and abs(given - figure) <= SAME * figure
        yield Finding(
            f"the figure of {name}",
            fits,
            "the figure that the table of proofs names for this illness",
            "that" if fits else f"{given}"[:40],
            "Bytes for a spill, rows for the others; take it from the run and not from the plan.",
        )
