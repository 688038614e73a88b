"""Step 5b.2, instance pools: a fresh week on the pool that was declared, and what it says when it is full."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labs_lib.checking.evidence import Evidence
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding
from labs_lib.resource_management.checks.fresh import fresh
from labs_lib.resource_management.company import LEARNER
from labs_lib.resource_management.replay import replay
from labs_lib.resource_management.week import BOUNDS, RUNTIME, starts
from labs_lib.workspace.ground.errors import WorkspaceError
from labs_lib.workspace.trial import Trial, trial

POOL, NODE = "starts", "m5.xlarge"
REFUSED = 0.002  # of a fresh week's starts, that nobody could foresee


def observe_5b_2(observer: Observer) -> dict[str, Any]:
    """What a fresh week's requests got of the pool, and what one more than it may have is answered."""
    with trial(observer.answer("pool_state")) as w:
        pools = w.ask("GET", "/api/2.0/instance-pools/list")["instance_pools"]
        pool = next((each for each in pools if each["instance_pool_name"] == POOL), None)
        if pool is None or pool["node_type_id"] != NODE:
            return {"pool": None}
        requests = starts(observer.lab.seed, fresh(observer))
        found = replay(pool, requests)
        return {
            "pool": {"max_capacity": pool.get("max_capacity")},
            "starts": len(requests),
            "ready": found.ready(BOUNDS.ready_seconds),
            "idle_share": found.idle_share,
            "refused": found.refused,
            "told": _when_full(w, pool),
        }


def _when_full(w: Trial, pool: dict[str, Any]) -> str | None:
    """The refusal of one machine more than the pool may have."""
    most = pool.get("max_capacity") or BOUNDS.machines
    spec = {"instance_pool_id": pool["instance_pool_id"], "spark_version": RUNTIME, "num_workers": most}
    try:
        w.ask("POST", "/api/2.1/clusters/create", LEARNER, **spec)
    except WorkspaceError as refusal:
        return refusal.message
    return None


def judge_5b_2(evidence: Evidence) -> Iterator[Finding]:
    """Waits and idle machines within the bounds, room for the peak and not for more."""
    observed = evidence.observed
    if observed["pool"] is None:
        yield Finding("the pool", False, f"a pool named {POOL!r} of {NODE}", "there is none")
        return
    ready, idle, refused = observed["ready"], observed["idle_share"], observed["refused"]
    yield Finding(
        "waits",
        ready >= BOUNDS.ready_share,
        f"at least {BOUNDS.ready_share:.0%} of a fresh week's starts within {BOUNDS.ready_seconds} s",
        f"{ready:.1%}",
        "Whoever finds idle machines waits for the boot alone: 30 s, and a minute more if the runtime has to be fetched first.",
        2,
    )
    yield Finding(
        "idle machines",
        idle <= BOUNDS.idle_share,
        f"at most {BOUNDS.idle_share:.2f} machine-hours idle for each one used",
        f"{idle:.2f}",
        "The fewest idle ones are paid around the clock; the minutes after each use keep some for the next start.",
        2,
    )
    capacity = observed["pool"]["max_capacity"]
    within = capacity is not None and capacity <= BOUNDS.machines
    yield Finding(
        "the largest size",
        within and refused <= REFUSED * observed["starts"],
        f"at most {BOUNDS.machines} machines, and room for a fresh week's peak",
        f"{capacity or 'no limit'}; {refused} of {observed['starts']:,} starts refused",
        "The peak of one week is not the peak of the next.",
    )
    yield Finding(
        "a full pool",
        observed["told"] is not None and "max_capacity" in observed["told"],
        "refuses, and says that it is full",
        observed["told"] or "it gave one machine more than it may have",
    )
