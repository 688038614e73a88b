"""Step 5b.4, queues, limits and a daily quota: a fresh day of two hundred submissions, led by the learner's control."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labs_lib.checking.evidence import Evidence
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding
from labs_lib.driving.driver import Child, Lost
from labs_lib.errors import LabsError
from labs_lib.resource_management.checks.fresh import fresh
from labs_lib.resource_management.company import RUNTIME, company
from labs_lib.resource_management.day import (
    BEGIN,
    DAY,
    NODE,
    RATE,
    Limits,
    Played,
    Run,
    limits,
    play,
    submissions,
)
from labs_lib.resource_management.week import MINUTE
from labs_lib.workspace import compute
from labs_lib.workspace.ground.errors import WorkspaceError
from labs_lib.workspace.jobs.rules import Result
from labs_lib.workspace.trial import Trial, trial

GRACE = 15 * MINUTE  # a look, and time to act
PATIENCE = 45 * MINUTE  # of an urgent run
WARN, EARLY = 0.8, 0.97  # shares of a quota
PLAIN = 3  # messages a team and day, beside those that name a cancelled run


def observe_5b_4(observer: Observer) -> dict[str, Any]:
    """What the limits let through, and what became of a fresh day."""
    seed = observer.lab.seed
    state = observer.answer("quota_state")
    told = limits(seed)
    with trial(state) as w:
        declared = [what for each in told for what in _limits(w, each, company(seed).teams[each.team][0])]
    try:
        with observer.child("DailyQuota") as control:
            if error := control.make({each.team: each.quota for each in told}).error:
                return {"declared": declared, "ended": f"DailyQuota ends with {error}"}
            played = play(state, submissions(seed, fresh(observer)), lambda *given: _looked(control, *given))
    except (Lost, LabsError) as error:
        return {
            "declared": declared,
            "ended": f"DailyQuota {error}" if isinstance(error, Lost) else str(error),
        }
    return {"declared": declared, "ended": "", **_day(played, told)}


def _looked(control: Child, *given: Any) -> Any:
    answer = control.call("look", *given)
    if answer.error:
        raise LabsError(f"`look` ends with {answer.error}.")
    return answer.value


def judge_5b_4(evidence: Evidence) -> Iterator[Finding]:
    """A finding for what is declared, and one for each thing that the day has to show."""
    observed = evidence.observed
    yield _finding(
        "the limits",
        observed["declared"],
        "as many runs, clusters and DBUs an hour as the words say, no more and no fewer",
        "`max_concurrent_runs` and `queue` are a job's, `max_clusters_per_user` is a field of the policy, `dbus_per_hour` one of its definition's.",
        2,
    )
    if observed["ended"]:
        yield Finding(
            "the day", False, "200 submissions and a look every ten minutes", observed["ended"], weight=6
        )
        return
    for key, name, expected, look in (
        ("lost", "nothing lost", "each submission runs, waits, or is cancelled and named", "A job without a queue skips what is too much. A run that you cancel has to be named to its team, by its id."),
        ("urgent", "urgent work", "all of it ends well, and begins within 45 minutes, whatever the quota", "Cancel and pause what isn't urgent."),
        ("overspent", "spending stops", "a quarter of an hour after the quota is reached nothing runs that isn't urgent", "The bill lags by up to an hour: what runs now has to be added from the runs."),
        ("early", "not before", "nothing cancelled or paused below the quota", "Count each run once: what is billed is in the runs too, and yesterday's share of a run isn't today's."),
        ("telling", "told", "at 80 % and at the quota, within a quarter of an hour, and not again and again", "Remember what you have said today."),
        ("tomorrow", "the next day", "begins with a new quota: what was paused goes on", "Resume at the first look after midnight."),
    ):  # fmt: skip
        yield _finding(name, observed[key], expected, look)


def _finding(name: str, wrong: list[str], expected: str, look: str, weight: int = 1) -> Finding:
    return Finding(name, not wrong, expected, "; ".join(wrong[:2]) or "that", look, weight)


# What is declared, by use


def _limits(w: Trial, each: Limits, person: str) -> Iterator[str]:
    jobs = {
        job["settings"]["name"]: job["job_id"]
        for job in w.ask("GET", "/api/2.2/jobs/list", limit=100)["jobs"]
    }
    for kind, wanted in (("batch", each.batch_runs), ("urgent", each.urgent_runs)):
        name = f"{each.team} {kind}"
        if name not in jobs:
            yield f"there is no job {name}"
            continue
        lives = [
            w.ask("GET", "/api/2.2/jobs/runs/get", run_id=run["run_id"])["state"]["life_cycle_state"]
            for run in [w.ask("POST", "/api/2.2/jobs/run-now", job_id=jobs[name]) for _ in range(wanted + 2)]
        ]
        begun = sum(life not in ("QUEUED", "SKIPPED") for life in lives)
        if begun != wanted or "SKIPPED" in lives:
            yield f"of {wanted + 2} runs of {name} {begun} begin, {lives.count('QUEUED')} wait and {lives.count('SKIPPED')} are skipped, where {wanted} may run at once"
        w.ask("POST", "/api/2.2/jobs/runs/cancel-all", job_id=jobs[name])
    policies = {
        policy["name"]: policy["policy_id"]
        for policy in w.ask("GET", "/api/2.0/policies/clusters/list")["policies"]
    }
    for kind, dbus in (("people", each.people_dbus), ("jobs", each.jobs_dbus)):
        name = f"{each.team} {kind}"
        if name not in policies:
            yield f"there is no policy {name}"
            continue
        most = int(dbus / RATE + 1e-9) - 1
        for size, wanted_so in (
            ({"num_workers": most}, True),
            ({"num_workers": most + 1}, False),
            ({"autoscale": {"min_workers": 1, "max_workers": most + 1}}, False),
        ):
            spec = {"policy_id": policies[name], "node_type_id": NODE, "spark_version": RUNTIME, **size}
            refusal = _refused(w, person, spec, "job" if kind == "jobs" else "all-purpose")
            if (refusal is None) != wanted_so:
                yield f"under {name} {size} is {'refused: ' + refusal[:150] if refusal else 'allowed'}, where a cluster may have {dbus:g} DBU an hour"
    if f"{each.team} people" in policies:
        spec = {
            "policy_id": policies[f"{each.team} people"],
            "node_type_id": NODE,
            "spark_version": RUNTIME,
            "num_workers": 1,
        }
        had = _clusters(w, person, spec, each.clusters_each + 1)
        if had != each.clusters_each:
            yield f"a person has {had} clusters at a time under {each.team} people, where {each.clusters_each} are allowed"


def _refused(w: Trial, person: str, spec: dict[str, Any], cluster_type: str) -> str | None:
    try:
        with w.trying(person) as ctx:
            compute.admit(ctx, spec, cluster_type)
    except WorkspaceError as refusal:
        return refusal.message
    return None


def _clusters(w: Trial, person: str, spec: dict[str, Any], tries: int) -> int:
    """How many clusters somebody gets of so many tries, all at the same time."""
    had = 0
    with w.trying(person) as ctx:
        for _ in range(tries):
            try:
                compute.create(ctx, spec)
            except WorkspaceError:
                break
            had += 1
    return had


# What the day shows


def _day(played: Played, told: tuple[Limits, ...]) -> dict[str, list[str]]:
    named = [text for _, _, text in played.told]
    cancelled = {action["run_id"]: at for at, action in played.acts if action["do"] == "cancel"}
    lost = [
        f"run {run.run_id} of {run.job} was {'cancelled and nobody was told' if run.run_id in cancelled else _ended(run)}"
        for run in played.runs
        if run.result != "SUCCESS"
        and not (run.run_id in cancelled and any(str(run.run_id) in text for text in named))
    ]
    urgent = [
        f"a run of {run.job} {'waited ' + str(((run.began or run.asked) - run.asked) // MINUTE) + ' minutes' if run.result == 'SUCCESS' else 'was ' + _ended(run)}"
        for run in played.runs
        if run.urgent and (run.result != "SUCCESS" or (run.began or run.asked) - run.asked > PATIENCE)
    ]
    found: dict[str, list[str]] = {
        "lost": lost,
        "urgent": urgent,
        "overspent": [],
        "early": [],
        "telling": [],
    }
    for each in told:
        reached = played.reached(each.team, each.quota)
        warned = played.reached(each.team, WARN * each.quota)
        found["overspent"] += _overspent(played, each, reached)
        found["early"] += _early(played, each)
        found["telling"] += _telling(played, each.team, warned, reached)
    tomorrow = [run for run in played.runs if not run.urgent and run.asked > BEGIN + DAY]
    off = [run for run in tomorrow if run.result != "SUCCESS"]
    held = [each for each in played.held if each.at > BEGIN + DAY]
    found["tomorrow"] = (
        [
            f"of {len(tomorrow) + len(held)} submissions after midnight {len(held)} were held back and {len(off)} cancelled"
        ]
        if off or held
        else []
    )
    return {name: each[:5] for name, each in found.items()}


def _ended(run: Run) -> str:
    return "skipped" if run.result == Result.SKIPPED_FOR_LIMIT else (run.result or run.state).lower()


def _overspent(played: Played, each: Limits, reached: int | None) -> list[str]:
    if reached is None:
        return []
    end = reached + GRACE
    for run in played.runs:
        if run.team != each.team or run.urgent or run.began is None or run.asked >= BEGIN + DAY:
            continue
        stops = min(run.ended or BEGIN + DAY, BEGIN + DAY)
        if stops > end and stops - max(run.began, reached) > GRACE:
            after = played.spent(each.team, BEGIN + DAY, urgent=False) - played.spent(
                each.team, reached, urgent=False
            )
            return [
                f"{each.team} had spent its {each.quota:g} DBU, and {after:.1f} DBU more by work that isn't urgent"
            ]
    return []


def _early(played: Played, each: Limits) -> list[str]:
    for at, action in played.acts:
        run = next((run for run in played.runs if run.run_id == action.get("run_id")), None)
        team = run.team if run else str(action.get("job", "")).rpartition(" ")[0]
        if team == each.team and action["do"] in ("cancel", "pause"):
            spent = played.spent(each.team, at)
            if spent < EARLY * each.quota:
                return [f"{each.team}: a {action['do']} at {spent:.1f} of {each.quota:g} DBU"]
    return []


def _telling(played: Played, team: str, warned: int | None, reached: int | None) -> list[str]:
    mine = [(at, text) for at, whom, text in played.told if whom == team and at <= BEGIN + DAY]
    found = []
    for moment, what in ((warned, "80 % of its quota"), (reached, "its quota")):
        if moment is not None and not any(moment <= at <= moment + GRACE for at, _ in mine):
            found.append(f"{team} was not told of {what}")
    if warned is None and mine:
        found.append(f"{team} was told of a quota that it didn't come near")
    if warned is not None and any(at < warned - GRACE for at, _ in mine):
        found.append(f"{team} was told too early")
    plain, names = 0, set[str]()
    for _, text in mine:
        new = {
            str(run.run_id) for run in played.runs if run.result == "CANCELED" and str(run.run_id) in text
        } - names
        names |= new
        plain += not new
    if plain > PLAIN:
        found.append(f"{team} got {plain} messages that say nothing new")
    return found
