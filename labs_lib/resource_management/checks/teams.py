"""Step 5b.1, teams apart: what people of each team, of none and of the platform can do in the workspace that was declared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from labs_lib.checking.evidence import Evidence
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding
from labs_lib.errors import LabsError
from labs_lib.resource_management.company import LEARNER, Company, company
from labs_lib.workspace import identity
from labs_lib.workspace.catalog import actions, store
from labs_lib.workspace.catalog.privileges import missing
from labs_lib.workspace.ground.errors import WorkspaceError
from labs_lib.workspace.trial import Trial, trial

Probe = Callable[[str], bool]
CONTENT = "cHJpbnQoMSkK"
SCIM = "/api/2.0/preview/scim/v2"
# What a member may do with the team's things, and what the platform group may.
MEMBER = frozenset(
    (
        "read the team's folder",
        "change the team's file",
        "see the job",
        "run the job",
        "start the cluster",
        "stop the cluster",
        "create a cluster under the policy, from the pool",
        "read the tables",
        "write the tables",
        "create a table",
    )
)
OPERATOR = (MEMBER - {"read the tables", "write the tables", "create a table"}) | {
    "change the job",
    "delete the cluster",
    "change the pool",
    "manage the catalog",
}
KINDS = ("members", "others", "both", "left", "platform", "joined", "moved")


def observe_5b_1(observer: Observer) -> dict[str, Any]:
    """Each probe of each person that came out otherwise than the requirements say, by kind of person; and who is an admin."""
    told = company(observer.lab.seed)
    with trial(observer.answer("teams_state")) as w:
        things = {team: _things(w, team) for team in told.teams}
        if gone := [what for each in things.values() for what, found in each.items() if found is None]:
            return {"gone": sorted(gone)}
        probes = {team: _probes(w, team, each) for team, each in things.items()}
        wrong: dict[str, list[str]] = {kind: [] for kind in KINDS}
        for kind, person, team, wanted in _wanted(told):
            wrong[kind] += _off(probes[team], person, team, wanted)
        inactive = [user for user in _users(w) if user["userName"] == told.left]
        if not inactive or inactive[0]["active"]:
            wrong["left"].append(f"{told.left} has no deactivated account")
        admins = [each["userName"] for each in _users(w) if _is_admin(w, each["userName"])]
        for team, people in told.teams.items():
            wrong["joined"] += _joined(w, probes[team], team)
            person = next(each for each in people if each != told.both)
            wrong["moved"] += _moved(w, probes[team], team, person)
    return {"gone": [], "wrong": {kind: each[:5] for kind, each in wrong.items()}, "admins": admins}


def judge_5b_1(evidence: Evidence) -> Iterator[Finding]:
    """A finding for each kind of person."""
    observed = evidence.observed
    if observed["gone"]:
        yield Finding(
            "the teams' things",
            False,
            "all that was there, under its name",
            f"gone: {', '.join(observed['gone'])}",
            "Change who may use them; lay the workspace anew if you deleted something.",
        )
        return
    wrong = observed["wrong"]
    for kind, name, expected, look, weight in (
        (
            "members",
            "a team's members",
            "read, run and start what is the team's, and change neither job, cluster nor pool",
            "Which level allows to run a job or to start a cluster, and no more? And on the way to a table there are two more privileges.",
            2,
        ),
        (
            "others",
            "everybody else",
            "can do nothing with a team's things",
            "Look at every entry of the lists, what comes from the folder above, and the catalog's grants to everybody. `set` replaces a list, `update` adds to it.",
            2,
        ),
        ("both", "the one in two teams", "a member in both", "Groups add up.", 1),
        (
            "left",
            "the one who left",
            "an account that is there, deactivated",
            "Out of all groups is not out of the workspace.",
            1,
        ),
        (
            "platform",
            "the platform group",
            "manages folders, jobs, clusters, pools and catalogs, uses policies, and reads no table",
            "CAN_MANAGE on objects; MANAGE on a catalog is the right to grant, and SELECT another one.",
            1,
        ),
    ):
        yield Finding(name, not wrong[kind], expected, _told(wrong[kind]), look, weight)
    later = wrong["joined"] + wrong["moved"]
    yield Finding(
        "tomorrow's people",
        not later,
        "who joins a team's group can work at once, who leaves it can do nothing any more",
        _told(later),
        "Grant to groups and never to people.",
    )
    admins = [each for each in observed["admins"] if each != LEARNER]
    yield Finding(
        "admins",
        not admins,
        f"{LEARNER} alone",
        f"also {', '.join(admins)}" if admins else "that one",
        "An admin passes every check: no list of yours holds one back.",
    )


def _told(wrong: list[str]) -> str:
    return "; ".join(wrong[:2]) + (" and more" if len(wrong) > 2 else "") if wrong else "as it should be"


def _wanted(told: Company) -> Iterator[tuple[str, str, str, frozenset[str]]]:
    """Kind, person, team, and what that person may do with the team's things."""
    for team, members in told.teams.items():
        for person in told.everybody:
            if person == told.left:
                yield "left", person, team, frozenset()
            elif person in told.platform:
                yield "platform", person, team, frozenset(OPERATOR)
            elif person == told.both:
                yield "both", person, team, MEMBER if person in members else frozenset()
            else:
                yield (
                    "members" if person in members else "others",
                    person,
                    team,
                    MEMBER if person in members else frozenset(),
                )


def _off(probes: dict[str, Probe], person: str, team: str, wanted: frozenset[str]) -> list[str]:
    found = []
    for name, probe in probes.items():
        try:
            could = probe(person)
        except WorkspaceError as error:
            found.append(f"{person} of {team}: {name} ends with {error.message[:120]}")
            continue
        if could != (name in wanted):
            found.append(f"{person} can{'' if could else 'not'} {name} of {team}")
    return found


def _things(w: Trial, team: str) -> dict[str, Any]:
    """Ids of a team's things by what they are; None for what isn't there."""
    policies = w.ask("GET", "/api/2.0/policies/clusters/list")["policies"]
    pools = w.ask("GET", "/api/2.0/instance-pools/list")["instance_pools"]
    clusters = w.ask("GET", "/api/2.1/clusters/list")["clusters"]
    jobs = w.ask("GET", "/api/2.2/jobs/list", limit=100)["jobs"]
    with w.trying() as ctx:
        table = store.read(ctx.db).find("TABLE", f"{team}.sales.daily")
    return {
        f"the file of {team}": f"/Teams/{team}/load.py" if _is_there(w, f"/Teams/{team}/load.py") else None,
        f"the job {team} load": _one(jobs, "job_id", lambda job: job["settings"]["name"] == f"{team} load"),
        f"the cluster {team}": _one(clusters, "cluster_id", lambda each: each.get("cluster_name") == team),
        f"the pool {team}": _one(pools, "instance_pool_id", lambda each: each["instance_pool_name"] == team),
        f"the policy {team}": _one(policies, "policy_id", lambda each: each["name"] == team),
        f"the table {team}.sales.daily": table.name if table else None,
    }


def _is_there(w: Trial, path: str) -> bool:
    return w.would("GET", "/api/2.0/workspace/get-status", LEARNER, path=path)


def _one(found: list[dict[str, Any]], id: str, fits: Callable[[dict[str, Any]], bool]) -> Any:
    return next((each[id] for each in found if fits(each)), None)


def _probes(w: Trial, team: str, things: dict[str, Any]) -> dict[str, Probe]:
    file, job, cluster, pool, policy, table = things.values()

    def asks(method: str, path: str, /, **fields: Any) -> Probe:
        return lambda person: w.would(method, path, person, **fields)

    def holds(privilege: str, kind: str, name: str) -> Probe:
        return lambda person: _holds(w, person, privilege, kind, name)

    spec = {
        "policy_id": policy,
        "instance_pool_id": pool,
        "num_workers": 1,
        "spark_version": "17.3.x-scala2.13",
    }
    told = w.ask("GET", "/api/2.0/instance-pools/get", instance_pool_id=pool)
    edited = {name: told[name] for name in ("instance_pool_name", "node_type_id", "max_capacity")}
    return {
        "read the team's folder": asks("GET", "/api/2.0/workspace/list", path=f"/Teams/{team}"),
        "change the team's file": asks(
            "POST", "/api/2.0/workspace/import", path=file, content=CONTENT, format="AUTO", overwrite=True
        ),
        "see the job": asks("GET", "/api/2.2/jobs/get", job_id=job),
        "run the job": asks("POST", "/api/2.2/jobs/run-now", job_id=job),
        "change the job": asks(
            "POST", "/api/2.2/jobs/update", job_id=job, new_settings={"timeout_seconds": 60}
        ),
        "start the cluster": asks("POST", "/api/2.1/clusters/start", cluster_id=cluster),
        "stop the cluster": asks("POST", "/api/2.1/clusters/delete", cluster_id=cluster),
        "delete the cluster": asks("POST", "/api/2.1/clusters/permanent-delete", cluster_id=cluster),
        "create a cluster under the policy, from the pool": asks("POST", "/api/2.1/clusters/create", **spec),
        "change the pool": asks("POST", "/api/2.0/instance-pools/edit", instance_pool_id=pool, **edited),
        "read the tables": holds("SELECT", "TABLE", table),
        "write the tables": holds("MODIFY", "TABLE", table),
        "create a table": holds("CREATE_TABLE", "SCHEMA", f"{team}.sales"),
        "manage the catalog": holds("MANAGE", "CATALOG", team),
    }


def _holds(w: Trial, person: str, privilege: str, kind: str, name: str) -> bool:
    try:
        with w.trying(person) as ctx:
            catalog = store.read(ctx.db)
            return missing(catalog.securable(kind, name), privilege, actions.who(ctx), catalog.grants) is None
    except WorkspaceError:  # nobody of that name, or a deactivated one
        return False


def _users(w: Trial) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = w.ask("GET", f"{SCIM}/Users")["Resources"]
    return found


def _is_admin(w: Trial, person: str) -> bool:
    try:
        with w.trying(person) as ctx:
            return identity.as_user(ctx, person).is_admin
    except LabsError:
        return False


def _group(w: Trial, name: str) -> dict[str, Any] | None:
    groups = w.ask("GET", f"{SCIM}/Groups")["Resources"]
    return next((each for each in groups if each["displayName"] == name), None)


def _members(w: Trial, group: dict[str, Any], ids: list[str]) -> None:
    told = {"displayName": group["displayName"], "members": [{"value": id} for id in ids]}
    w.ask("PUT", f"{SCIM}/Groups/{group['id']}", **told, entitlements=group.get("entitlements", []))


def _joined(w: Trial, probes: dict[str, Probe], team: str) -> list[str]:
    """Somebody new, in the team's group and in nothing else."""
    group = _group(w, team)
    if group is None:
        return [f"there is no group {team}"]
    new = w.ask("POST", f"{SCIM}/Users", userName=f"new.in.{team}@example.com")
    before = [each["value"] for each in group.get("members", [])]
    _members(w, group, [*before, new["id"]])
    found = _off(probes, new["userName"], team, MEMBER)
    _members(w, group, before)
    return found


def _moved(w: Trial, probes: dict[str, Probe], team: str, person: str) -> list[str]:
    """A member whom the team's group has no more."""
    group = _group(w, team)
    if group is None:
        return []
    before = [each["value"] for each in group.get("members", [])]
    ids = {each["userName"]: each["id"] for each in _users(w)}
    _members(w, group, [id for id in before if id != ids.get(person)])
    found = _off(probes, person, team, frozenset())
    _members(w, group, before)
    return found
