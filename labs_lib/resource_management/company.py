"""Who works at the company that shares a workspace: teams, people, and the workspace as a step finds it. All of it by seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from datasets.variation import generator
from labs_lib.lab import Lab
from labs_lib.workspace import client

TEAMS = ("pricing", "loyalty", "supply", "fresh", "finance", "stores", "online", "campaigns")
PEOPLE = [
    "ada",
    "ben",
    "cleo",
    "dan",
    "ella",
    "finn",
    "gia",
    "hugo",
    "ines",
    "jon",
    "kim",
    "lea",
    "max",
    "nora",
    "omar",
    "pia",
    "quinn",
    "rosa",
    "sam",
    "tara",
    "uwe",
    "vera",
    "will",
    "xenia",
    "yara",
    "zoe",
]
PLATFORM = "platform"
LEARNER = "learner@example.com"
RUNTIME = "17.3.x-scala2.13"
WORKERS = {"batch": 3, "urgent": 2}  # of the clusters of 5b.4's jobs
NODES = ("m5.xlarge", "m5.2xlarge", "r5.xlarge")


@dataclass(frozen=True)
class Company:
    """People are e-mail addresses. `both` is in two teams, `left` in none any more, `outside` never was in one."""

    teams: dict[str, tuple[str, ...]]
    platform: tuple[str, ...]
    both: str
    left: str
    outside: str

    @property
    def everybody(self) -> tuple[str, ...]:
        """All who have an account."""
        members = [person for team in self.teams.values() for person in team]
        return tuple(dict.fromkeys([*members, *self.platform, self.left, self.outside]))


def company(seed: int) -> Company:
    """The company of a seed: three teams of three or four, somebody in two of them, two platform engineers."""
    draw = generator(seed, "company")
    names = [str(name) for name in draw.permutation(TEAMS)[:3]]
    people = [f"{name}@example.com" for name in draw.permutation(PEOPLE)]
    sizes = [int(size) for size in draw.integers(3, 5, 3)]
    members = [[people.pop() for _ in range(size)] for size in sizes]
    both = members[0][0]
    members[int(draw.integers(1, 3))].append(both)
    return Company(
        {name: tuple(sorted(each)) for name, each in zip(names, members, strict=True)},
        (people.pop(), people.pop()),
        both,
        people.pop(),
        people.pop(),
    )


def lay(lab: Lab, step: str) -> Company:
    """Have the local workspace as a step finds it, whatever was in it before: `5b.1` as it has grown, the others tidy."""
    client.load(lab.folder, found(lab.seed, step))
    return company(lab.seed)


def exported(lab: Lab) -> dict[str, Any]:
    """What is declared in the workspace of a lab now: users, groups, policies, pools, jobs, grants and the rest, as data."""
    return client.exported(lab.folder)


def found(seed: int, step: str) -> dict[str, Any]:
    """The state that `lay` loads."""
    told = company(seed)
    grown = step == "5b.1"
    users: list[dict[str, Any]] = [{"userName": person} for person in sorted(told.everybody)]
    groups = [_group("admins", [LEARNER, next(iter(told.teams.values()))[-1]] if grown else [LEARNER])]
    if not grown:
        users = [{**user, "active": user["userName"] != told.left} for user in users]
        groups += [_group(name, people) for name, people in {**told.teams, PLATFORM: told.platform}.items()]
    state: dict[str, Any] = {
        "identity": {"users": users, "groups": groups},
        "compute": {"policies": [], "pools": [], "clusters": []},
        "catalog": {"objects": [], "grants": [], "tags": []},
        "files": {"objects": []},
        "jobs": {"jobs": []},
        "permissions": {"grants": []},
    }
    if grown:
        _grow(state, told)
    if step == "5b.4":
        _object(state, 900, "/", "DIRECTORY")
        _object(state, 902, "/Shared", "DIRECTORY")
        _object(state, 903, "/Shared/work.py", "FILE")
        _limitless(state, told)
    if step == "5b.3":
        for number, (team, node) in enumerate(
            [*zip(told.teams, NODES, strict=False), ("big drivers", "m5.2xlarge")]
        ):
            state["compute"]["pools"].append(_pool(number, team, node))
            _grant(
                state, "instance-pools", _pool_id(number), "users" if number == 3 else team, "CAN_ATTACH_TO"
            )
    return state


def _grow(state: dict[str, Any], told: Company) -> None:
    """Three teams' things, and rights as they come about where nobody looks after them."""
    teams = list(told.teams)
    _object(state, 900, "/", "DIRECTORY")
    _object(state, 901, "/Teams", "DIRECTORY")
    _grant(state, "directories", "901", "users", "CAN_MANAGE")
    for number, team in enumerate(teams):
        neighbour = told.teams[teams[(number + 1) % 3]][-1]
        _object(state, 910 + 10 * number, f"/Teams/{team}", "DIRECTORY")
        _object(state, 911 + 10 * number, f"/Teams/{team}/load.py", "FILE")
        state["compute"]["policies"].append(
            {
                "policy_id": _policy_id(number),
                "name": team,
                "definition": '{"num_workers": {"type": "range", "maxValue": 8}}',
            }
        )
        state["compute"]["pools"].append(_pool(number, team, NODES[0]))
        spec = {"instance_pool_id": _pool_id(number), "num_workers": 2, "spark_version": "17.3.x-scala2.13"}
        state["compute"]["clusters"].append(
            {"cluster_id": _cluster_id(number), "cluster_name": team, "policy_id": _policy_id(number), **spec}
        )
        task = {"task_key": "load", "spark_python_task": {"python_file": f"/Teams/{team}/load.py"}}
        who = {"creator_user_name": LEARNER, "run_as_user_name": LEARNER}
        settings = {"name": f"{team} load", "tasks": [task]}
        state["jobs"]["jobs"].append({"job_id": 500 + number, **who, "settings": settings})
        _grant(state, "jobs", str(500 + number), LEARNER, "IS_OWNER")
        _grant(state, "jobs", str(500 + number), "users", "CAN_MANAGE_RUN")
        _grant(state, "clusters", _cluster_id(number), "users", "CAN_ATTACH_TO")
        _grant(state, "clusters", _cluster_id(number), neighbour, "CAN_RESTART")
        _grant(state, "clusters", _cluster_id(number), told.left, "CAN_MANAGE")
        _grant(state, "instance-pools", _pool_id(number), "users", "CAN_ATTACH_TO")
        _grant(state, "cluster-policies", _policy_id(number), "users", "CAN_USE")
        state["catalog"]["objects"] += [
            {"kind": "CATALOG", "name": team, "owner": LEARNER},
            {"kind": "SCHEMA", "name": f"{team}.sales", "owner": LEARNER},
            {
                "kind": "TABLE",
                "name": f"{team}.sales.daily",
                "owner": LEARNER,
                "type": "MANAGED",
                "columns": [{"name": "sold", "type": "double"}],
            },
        ]
        for privilege in ("USE_CATALOG", "USE_SCHEMA", "SELECT"):
            state["catalog"]["grants"].append(_privilege(team, "account users", privilege))
        state["catalog"]["grants"].append(_privilege(team, neighbour, "ALL_PRIVILEGES"))


def _limitless(state: dict[str, Any], told: Company) -> None:
    """Two jobs and two policies a team, without limits."""
    for number, team in enumerate(told.teams):
        for offset, kind in enumerate(("jobs", "people")):
            policy = _policy_id(20 + 2 * number + offset)
            state["compute"]["policies"].append(
                {"policy_id": policy, "name": f"{team} {kind}", "definition": "{}"}
            )
            _grant(state, "cluster-policies", policy, team, "CAN_USE")
        for offset, kind in enumerate(("batch", "urgent")):
            job, policy = 520 + 2 * number + offset, _policy_id(20 + 2 * number)
            cluster = {
                "policy_id": policy,
                "node_type_id": NODES[0],
                "num_workers": WORKERS[kind],
                "spark_version": RUNTIME,
            }
            task = {
                "task_key": "work",
                "spark_python_task": {"python_file": "/Shared/work.py"},
                "new_cluster": cluster,
            }
            settings = {"name": f"{team} {kind}", "tasks": [task], "tags": {"team": team, "priority": kind}}
            who = {"creator_user_name": LEARNER, "run_as_user_name": LEARNER}
            state["jobs"]["jobs"].append({"job_id": job, **who, "settings": settings})
            _grant(state, "jobs", str(job), LEARNER, "IS_OWNER")


def _group(name: str, people: Any) -> dict[str, Any]:
    return {"displayName": name, "members": [{"value": person} for person in people]}


def _object(state: dict[str, Any], number: int, path: str, kind: str) -> None:
    content = {"content": "cHJpbnQoImxvYWRlZCIpCg=="} if kind == "FILE" else {}
    state["files"]["objects"].append({"id": number, "path": path, "kind": kind, **content})


def _grant(state: dict[str, Any], kind: str, id: str, principal: str, level: str) -> None:
    who = {"user_name" if "@" in principal else "group_name": principal}
    state["permissions"]["grants"].append(
        {"object_type": kind, "object_id": id, **who, "permission_level": level}
    )


def _privilege(catalog: str, principal: str, privilege: str) -> dict[str, str]:
    return {"kind": "CATALOG", "name": catalog, "principal": principal, "privilege": privilege}


def _pool(number: int, name: str, node: str) -> dict[str, Any]:
    sizes = {"min_idle_instances": 0, "max_capacity": 40, "idle_instance_autotermination_minutes": 20}
    return {"instance_pool_id": _pool_id(number), "instance_pool_name": name, "node_type_id": node, **sizes}


def _pool_id(number: int) -> str:
    return f"pool-{700 + number:06d}"


def _policy_id(number: int) -> str:
    return f"{600 + number:016X}"


def _cluster_id(number: int) -> str:
    return f"0101-000000-{800 + number:08d}"
