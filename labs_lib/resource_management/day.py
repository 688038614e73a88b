"""A day of two hundred submissions on a workspace's jobs, and the control that looks at what they spend. All of it by seed.

The day runs on a workspace in this process (`workspace.trial`): its queues, limits, clusters and books are the service's own; only how long a
run takes is drawn beforehand.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from datasets.variation import generator
from labs_lib.errors import LabsError
from labs_lib.resource_management.company import NODES, WORKERS, company
from labs_lib.resource_management.week import HOUR, MINUTE, moments, pattern
from labs_lib.workspace import compute
from labs_lib.workspace.compute.specification import dbus_per_hour
from labs_lib.workspace.ground.context import Context
from labs_lib.workspace.jobs.rules import Life, Result
from labs_lib.workspace.trial import BEGIN, Trial, trial

DAY = 24 * HOUR
LOOK = 10 * MINUTE  # between two looks of the control
NODE = NODES[0]
RATE = 0.69  # DBU an hour of that node type
BATCH, URGENT, TOMORROW = (
    50,
    16,
    2,
)  # submissions of a team: today's (and two more urgent ones), and each job's after midnight
MINUTES = {"batch": (15, 60), "urgent": (10, 35)}
ACTIONS = ("tell", "pause", "resume", "cancel")

Look = Callable[[int, dict[str, float], list[dict[str, Any]]], Any]


@dataclass(frozen=True)
class Limits:
    """What a team may have: runs at once of each of its jobs, clusters of a person, DBUs an hour of a cluster, DBUs a day."""

    team: str
    batch_runs: int
    urgent_runs: int
    clusters_each: int
    people_dbus: float
    jobs_dbus: float
    quota: float


@dataclass(frozen=True)
class Submission:
    """A run that is asked for at a moment, by a schedule or by a person, and how long it takes."""

    at: int
    job: str
    minutes: int
    scheduled: bool


@dataclass
class Run:
    """A run by the workspace's own books; times in ms. `began` is when its cluster ran."""

    run_id: int
    job: str
    team: str
    urgent: bool
    asked: int
    minutes: int
    dbus_per_hour: float
    state: str = "QUEUED"
    began: int | None = None
    ended: int | None = None
    result: str | None = None

    def used(self, since: int, until: int) -> float:
        """DBUs between two moments."""
        if self.began is None:
            return 0.0
        end = until if self.ended is None else min(self.ended, until)
        return max(end - max(self.began, since), 0) / HOUR * self.dbus_per_hour


@dataclass
class Played:
    """What became of a day. `held` are submissions that a paused schedule did not make, `told` (moment, team, text), `acts` (moment, action)."""

    runs: list[Run] = field(default_factory=list)
    held: list[Submission] = field(default_factory=list)
    told: list[tuple[int, str, str]] = field(default_factory=list)
    acts: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    most: dict[str, int] = field(default_factory=dict)  # runs at once, by job

    def spent(self, team: str, moment: int, urgent: bool | None = None) -> float:
        """A team's DBUs from the midnight before a moment to that moment."""
        midnight = BEGIN + (moment - BEGIN - 1) // DAY * DAY
        mine = (run for run in self.runs if run.team == team and urgent in (None, run.urgent))
        return sum(run.used(midnight, moment) for run in mine)

    def reached(self, team: str, dbus: float) -> int | None:
        """The first minute of the first day at which a team has spent that much."""
        minutes = range(BEGIN, BEGIN + DAY + 1, MINUTE)
        return next((moment for moment in minutes if self.spent(team, moment) >= dbus), None)


def limits(seed: int) -> tuple[Limits, ...]:
    """The teams' limits of a seed. Two of the quotas are below what the teams ask for in a day, one is above."""
    draw = generator(seed, "limits")
    shares = draw.permutation([0.5, 0.6, 1.4])
    found = []
    for team, share in zip(company(seed).teams, shares, strict=True):
        asked = sum(
            count * sum(MINUTES[kind]) / 120 * RATE * (WORKERS[kind] + 1)
            for kind, count in (("batch", BATCH), ("urgent", URGENT))
        )
        found.append(
            Limits(
                team,
                int(draw.integers(3, 5)),
                int(draw.integers(3, 5)),
                int(draw.integers(2, 4)),
                float(draw.choice([2.5, 3.5, 4.2])),
                float(draw.choice([3.0, 3.6, 4.2])),
                round(asked * share / 5) * 5.0,
            )
        )
    return tuple(found)


def submissions(seed: int, which: str) -> list[Submission]:
    """Two hundred of a day, with the hours of the retailer's Tuesday, and a few of the next morning; in order."""
    draw = generator(seed, f"day {which}")
    weights = 0.7 * pattern()[24:48] / pattern()[24:48].sum() + 0.3 / 24
    found: list[Submission] = []
    for number, team in enumerate(company(seed).teams):
        for kind, count in (("batch", BATCH), ("urgent", URGENT + (1 if number < 2 else 0))):
            job = f"{team} {kind}"
            times = [
                *(BEGIN + moments(draw, count, weights)),
                *(BEGIN + DAY + 30 * MINUTE + moments(draw, TOMORROW, np.ones(1))),
            ]
            for at in times:
                scheduled = kind == "batch" and bool(draw.random() < 0.8)
                found.append(
                    Submission(
                        int(at), job, int(draw.integers(MINUTES[kind][0], MINUTES[kind][1] + 1)), scheduled
                    )
                )
    return sorted(found, key=lambda each: each.at)


class Control(Protocol):
    """What the day asks every ten minutes."""

    def look(self, now: int, billed: dict[str, float], runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What to do now."""
        ...


def play(state: dict[str, Any], todo: Sequence[Submission], look: Look) -> Played:
    """A day on a workspace with that state, with a look of the control every ten minutes. Raises LabsError if a job is missing."""
    with trial(state, BEGIN) as w:
        return _Day(w, todo, look).played()


def rehearse(state: dict[str, Any], todo: Sequence[Submission], control: Control) -> Played:
    """The same with a control of this notebook's."""
    return play(
        state, todo, lambda now, billed, runs: control.look(now, *json.loads(json.dumps([billed, runs])))
    )


class _Day:
    def __init__(self, w: Trial, todo: Sequence[Submission], look: Look) -> None:
        self.w, self.todo, self.look, self.found = w, todo, look, Played()
        self.paused: set[str] = set()
        self.runs: dict[int, Run] = {}
        listed = w.ask("GET", "/api/2.2/jobs/list", limit=100, expand_tasks=True)["jobs"]
        self.jobs = {job["settings"]["name"]: job for job in listed}
        self.jobs = {name: job for name, job in self.jobs.items() if name in {each.job for each in todo}}
        if gone := {each.job for each in todo} - self.jobs.keys():
            raise LabsError(
                f"The state has no job {sorted(gone)[0]!r}; lay the workspace anew and change what is there."
            )
        for name, job in self.jobs.items():
            tasks = job["settings"].get("tasks") or [{}]
            cluster = tasks[0].get("new_cluster") or {}
            size = WORKERS.get(name.rpartition(" ")[2])
            if len(tasks) > 1 or (cluster.get("node_type_id"), cluster.get("num_workers")) != (NODE, size):
                raise LabsError(
                    f"The job {name!r} has other tasks, or another cluster, than it was laid with."
                )
        self.teams = sorted({job.rpartition(" ")[0] for job in self.jobs})

    def played(self) -> Played:
        """The day to its end, and the morning after."""
        events: list[tuple[int, Submission | None]] = [(each.at, each) for each in self.todo]
        last = max(each.at for each in self.todo) + 6 * HOUR
        events += [(moment, None) for moment in range(BEGIN + LOOK, last, LOOK)]
        for moment, submission in sorted(events, key=lambda event: event[0]):
            self.w.go_on(moment, self._books)
            if submission is None:
                self._look()
            elif submission.scheduled and submission.job in self.paused:
                self.found.held.append(submission)
            else:
                self._submit(submission)
        self.w.go_on(last, self._books)
        self.found.runs = list(self.runs.values())
        return self.found

    def _submit(self, each: Submission) -> None:
        job = self.jobs[each.job]
        run_id = self.w.ask("POST", "/api/2.2/jobs/run-now", job_id=job["job_id"])["run_id"]
        team, _, kind = each.job.rpartition(" ")
        cluster = job["settings"]["tasks"][0].get("new_cluster") or {}
        rate = float(dbus_per_hour(cluster, {}))
        self.runs[run_id] = Run(run_id, each.job, team, kind == "urgent", each.at, each.minutes, rate)

    def _books(self, ctx: Context) -> None:
        """Begin what has its cluster, for as long as was drawn, and read what is known of the runs that go on."""
        query = "SELECT * FROM attempts WHERE life = 'PENDING' AND ready IS NOT NULL"
        for attempt in ctx.db.execute(query).fetchall():
            until = ctx.now + self.runs[attempt["run_id"]].minutes * MINUTE
            change = "UPDATE attempts SET life = ?, began = ?, until = ?, result = ? WHERE id = ?"
            ctx.db.execute(change, (Life.RUNNING, ctx.now, until, Result.SUCCESS, attempt["id"]))
        query = "SELECT runs.id, runs.life, runs.result, runs.ended, attempts.began FROM runs LEFT JOIN attempts ON run_id = runs.id"
        going: dict[str, int] = {}
        for row in ctx.db.execute(query):
            run = self.runs.get(row["id"])
            if run is None or run.state == "ENDED":
                continue
            run.began, run.ended, run.result = row["began"], row["ended"], row["result"]
            run.state = {"QUEUED": "QUEUED", "RUNNING": "RUNNING" if row["began"] else "PENDING"}.get(
                row["life"], "ENDED"
            )
            if row["life"] == "RUNNING":
                going[run.job] = going.get(run.job, 0) + 1
        for job, count in going.items():
            self.found.most[job] = max(self.found.most.get(job, 0), count)

    def _look(self) -> None:
        now = self.w.moment
        midnight = BEGIN + (now - BEGIN) // DAY * DAY
        hour = now - now % HOUR
        billed = dict.fromkeys(self.teams, 0.0)
        by_job = {str(job["job_id"]): name.rpartition(" ")[0] for name, job in self.jobs.items()}
        with self.w.transaction() as ctx:
            for row in compute.usage(ctx, midnight, hour) if hour > midnight else ():
                billed[by_job[row["usage_metadata"]["job_id"]]] += float(row["usage_quantity"])
        actions = self.look(
            now, {team: round(used, 6) for team, used in billed.items()}, list(self._today(midnight))
        )
        if not isinstance(actions, list):
            raise LabsError(f"`look` has to return a list of actions; it returned {type(actions).__name__}.")
        for action in actions:
            self._act(now, action)

    def _today(self, midnight: int) -> Iterator[dict[str, Any]]:
        for run in self.runs.values():
            if run.state != "ENDED" or (run.ended or 0) > midnight:
                kept = ("run_id", "job", "team", "urgent", "state", "began", "ended", "dbus_per_hour")
                yield {name: getattr(run, name) for name in kept}

    def _act(self, now: int, action: Any) -> None:
        do = action.get("do") if isinstance(action, dict) else None
        if do not in ACTIONS:
            raise LabsError(
                f"An action of `look` is {str(action)[:80]}; it is an object whose `do` is one of {', '.join(ACTIONS)}."
            )
        if do == "tell":
            self.found.told.append((now, str(action.get("team")), str(action.get("text"))[:5000]))
            return
        if do == "cancel":
            run = self.runs.get(action.get("run_id"))
            if run is None:
                raise LabsError(f"`look` cancels the run {action.get('run_id')!r}, which there isn't.")
            if run.state == "ENDED":
                return
            self.w.ask("POST", "/api/2.2/jobs/runs/cancel", run_id=run.run_id)
        elif action.get("job") not in self.jobs:
            raise LabsError(f"`look` names the job {action.get('job')!r}, which there isn't.")
        elif do == "pause":
            self.paused.add(action["job"])
        else:
            self.paused.discard(action["job"])
        self.found.acts.append(
            (now, {name: action[name] for name in ("do", "run_id", "job") if name in action})
        )
