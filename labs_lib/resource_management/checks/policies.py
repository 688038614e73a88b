"""Step 5b.3, cluster policies: sixty specifications of the teams' people, each allowed or refused as the requirements in words say."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np

from datasets.variation import generator
from labs_lib.checking.evidence import Evidence
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding
from labs_lib.resource_management.checks.fresh import fresh
from labs_lib.resource_management.company import NODES, Company, company
from labs_lib.resource_management.requirements import BIG_DRIVERS, Allowance, allowances
from labs_lib.workspace import compute
from labs_lib.workspace.ground.errors import InvalidParameter, NotFound, PermissionDenied, WorkspaceError
from labs_lib.workspace.trial import Trial, trial

Spec = dict[str, Any]
SPECIFICATIONS = 60
RATES = {"m5.xlarge": 0.69, "m5.2xlarge": 1.37, "r5.xlarge": 0.90, "r5.4xlarge": 3.60}
STANDARD, ML = (
    ("17.3.x-scala2.13", "16.4.x-scala2.12"),
    ("17.3.x-cpu-ml-scala2.13", "16.4.x-cpu-ml-scala2.12"),
)
FREE = {"cluster_name", "custom_tags", "policy_id", "apply_policy_default_values"}


def observe_5b_3(observer: Observer) -> dict[str, Any]:
    """What came of each specification, and what was filled in."""
    seed, which = observer.lab.seed, fresh(observer)
    told = company(seed)
    with trial(observer.answer("policies_state")) as w:
        policies = {
            each["name"]: each["policy_id"]
            for each in w.ask("GET", "/api/2.0/policies/clusters/list")["policies"]
        }
        pools = {
            each["instance_pool_name"]: each["instance_pool_id"]
            for each in w.ask("GET", "/api/2.0/instance-pools/list")["instance_pools"]
        }
        if gone := [f"the policy {each.team}" for each in allowances(seed) if each.team not in policies] + [
            f"the pool {name}" for name in (*told.teams, BIG_DRIVERS) if name not in pools
        ]:
            return {"gone": gone}
        # What a policy leaves open is to be seen, whoever may use that pool.
        everybody = [{"group_name": "users", "permission_level": "CAN_ATTACH_TO"}]
        path = f"/api/2.0/permissions/instance-pools/{pools[BIG_DRIVERS]}"
        w.ask("PATCH", path, access_control_list=everybody)
        tried = [_tried(w, policies, pools, each) for each in specifications(seed, told, which)]
        filled = {each.team: _unfilled(w, policies, pools, told, each) for each in allowances(seed)}
        for_others = _for_others(w, policies, pools, told, generator(seed, f"others {which}"), seed)
    return {"gone": [], "tried": tried, "filled": filled, "for_others": for_others}


def judge_5b_3(evidence: Evidence) -> Iterator[Finding]:
    """Allowed what is allowed, refused what isn't, the doors that are left open most often, defaults, and whose policy it is."""
    observed = evidence.observed
    if observed["gone"]:
        yield Finding(
            "the policies",
            False,
            "one for each team, by its name",
            f"there isn't: {', '.join(observed['gone'])}",
        )
        return
    tried = observed["tried"]
    for name, wanted, doors, look in (
        (
            "what the words allow",
            True,
            None,
            "The refusal names the attribute and the rule. Is it required without need, or narrower than the words?",
        ),
        (
            "what the words refuse",
            False,
            False,
            "Take the sentence of the requirements that speaks of it, and look for the rule that holds it.",
        ),
        (
            "the open doors",
            False,
            True,
            "An attribute that no rule names is not limited at all. Which others lead to the same thing: a size, a machine, a driver?",
        ),
    ):
        mine = [
            each for each in tried if each["wanted"] == wanted and (doors is None or each["door"] == doors)
        ]
        wrong = [each for each in mine if each["got"] != wanted]
        yield Finding(
            name,
            not wrong,
            f"{len(mine)} specifications {'allowed' if wanted else 'refused'}",
            f"{len(wrong)} of {len(mine)} not: {'; '.join(_shown(each) for each in wrong[:2])}"
            if wrong
            else "all of them",
            look,
            2,
        )
    unfilled = [f"{team}: {what}" for team, found in observed["filled"].items() for what in found]
    yield Finding(
        "what nobody says",
        not unfilled,
        "tags, machines, idle minutes and modes filled in as the words have it",
        "; ".join(unfilled[:3]) if unfilled else "filled in",
        "`fixed` always fills in; `defaultValue` only where the request asks for defaults.",
    )
    yield Finding(
        "whose policy it is",
        not observed["for_others"],
        "used by its team, and by nobody else",
        "; ".join(observed["for_others"][:3]) or "that",
        "CAN_USE, for the team's group.",
    )


def _shown(each: dict[str, Any]) -> str:
    return f"{each['team']}: {each['what']} was {'allowed' if each['got'] else 'refused'}" + (
        f" ({each['why']})" if each["why"] else ""
    )


# Specifications


def specifications(seed: int, told: Company, which: str = "fresh") -> list[dict[str, Any]]:
    """Sixty: twenty of each team, a plain one changed in one respect. All that is a known way round is among them."""
    draw = generator(seed, f"specifications {which}")
    found = []
    for number, each in enumerate(allowances(seed)):
        changes = _changes(each, draw)
        chosen = [change for change in changes if change[1] in (OPEN, MUST)]
        others = [change for change in changes if change[1] not in (OPEN, MUST)]
        chosen += [others[i] for i in draw.permutation(len(others))[: SPECIFICATIONS // 3 - len(chosen)]]
        for what, often, change in chosen:
            spec = {**plain(each, draw), **copy.deepcopy(change)}
            cluster_type = spec.pop("cluster_type", _usual_type(each))
            spec = {name: value for name, value in spec.items() if value is not None}
            told_so = {"team": each.team, "what": what, "door": often in (OPEN, DOOR)}
            person = str(draw.choice(told.teams[each.team]))
            wanted = allowed(each, spec, cluster_type, NODES[number])
            found.append({**told_so, "spec": spec, "type": cluster_type, "person": person, "wanted": wanted})
    return found


def plain(each: Allowance, draw: np.random.Generator) -> Spec:
    """A specification that a team may have. Pools stand by name, and by id when they are asked for."""
    if each.kind == "analysts":
        high = int(draw.integers(2, each.most_workers + 1))
        return {
            "spark_version": str(draw.choice(STANDARD)),
            "node_type_id": str(draw.choice(each.nodes)),
            "autoscale": {"min_workers": int(draw.integers(1, high)), "max_workers": high},
            "autotermination_minutes": int(draw.integers(10, each.idle_minutes + 1)),
        }
    if each.kind == "engineers":
        return {"spark_version": STANDARD[0], "num_workers": 1, "instance_pool_id": each.team}
    return {
        "spark_version": str(draw.choice(ML)),
        "node_type_id": str(draw.choice(each.nodes)),
        "is_single_node": True,
        "num_workers": 0,
        "autotermination_minutes": int(draw.integers(10, each.idle_minutes + 1)),
    }


Change = tuple[str, str, Spec]  # in words, how often, and what is said instead; None for nothing
# Ways round that are often left open, and others; some are tried in each draw.
OPEN, DOOR, MUST, MAY = "open", "door", "must", "may"


def _changes(each: Allowance, draw: np.random.Generator) -> list[Change]:
    """What may be changed of a plain specification: in words, how often it is tried, and how."""
    other = "cc-" + str(int(draw.integers(100, 1000)))
    above, below = (int(draw.integers(1, 30)), int(draw.integers(1, each.most_workers + 1)))
    found: list[Change] = [
        ("a plain one", MUST, {}),
        ("a plain one", MAY, {"cluster_name": "mine"}),
        ("with a further tag", MAY, {"custom_tags": {"project": "spring"}}),
        (
            "with the team's own tags",
            MAY,
            {"custom_tags": {"team": each.team, "cost_center": each.cost_center}},
        ),
        ("with another team's tag", MUST, {"custom_tags": {"team": "nobody"}}),
        ("with another cost center", MAY, {"custom_tags": {"cost_center": other}}),
        ("with the oldest runtime", MAY, {"spark_version": "14.3.x-scala2.12"}),
        ("with a runtime before the previous", MAY, {"spark_version": "15.4.x-scala2.12"}),
        ("in the mode NONE", DOOR, {"data_security_mode": "NONE"}),
        ("with an init script", OPEN, {"init_scripts": [{"workspace": {"destination": "/Shared/init.sh"}}]}),
        (
            "with aws_attributes",
            OPEN,
            {"aws_attributes": {"availability": "SPOT", "spot_bid_price_percent": 300}},
        ),
        ("with an elastic disk", DOOR, {"enable_elastic_disk": True}),
    ]
    if each.kind == "analysts":
        found += [
            ("as a job cluster", MUST, {"cluster_type": "job"}),
            (
                f"scaling to {each.most_workers}",
                MUST,
                {"autoscale": {"min_workers": 1, "max_workers": each.most_workers}},
            ),
            (
                f"scaling to {each.most_workers + above}",
                MUST,
                {"autoscale": {"min_workers": 1, "max_workers": each.most_workers + above}},
            ),
            ("scaling from 0", MAY, {"autoscale": {"min_workers": 0, "max_workers": 2}}),
            (
                f"with num_workers {each.most_workers + above} in place of autoscale",
                OPEN,
                {"autoscale": None, "num_workers": each.most_workers + above},
            ),
            (
                f"with num_workers {below} in place of autoscale",
                MAY,
                {"autoscale": None, "num_workers": below},
            ),
            ("with a large driver", OPEN, {"driver_node_type_id": "r5.4xlarge"}),
            ("with an allowed driver", MUST, {"driver_node_type_id": each.nodes[1]}),
            ("of large machines", MAY, {"node_type_id": "i3.4xlarge"}),
            ("from the team's pool", OPEN, {"node_type_id": None, "instance_pool_id": each.team}),
            ("that never stops", MUST, {"autotermination_minutes": 0}),
            (
                f"that stops after {each.idle_minutes + above} minutes",
                MAY,
                {"autotermination_minutes": each.idle_minutes + above},
            ),
            (
                f"that stops after {each.idle_minutes} minutes",
                MUST,
                {"autotermination_minutes": each.idle_minutes},
            ),
            (
                "that says nothing of stopping, nor asks for defaults",
                MUST,
                {"autotermination_minutes": None, "apply_policy_default_values": False},
            ),
            ("with Photon", OPEN, {"runtime_engine": "PHOTON"}),
            ("with spark_conf", OPEN, {"spark_conf": {"spark.databricks.cluster.profile": "serverless"}}),
            ("with environment variables", OPEN, {"spark_env_vars": {"PIP_INDEX_URL": "http://elsewhere"}}),
        ]
    elif each.kind == "engineers":
        large = int(draw.integers(max(1, each.most_workers - 2), each.most_workers + 1))
        found += [
            ("as an interactive cluster", OPEN, {"cluster_type": "all-purpose"}),
            ("with 2 workers", MUST, {"num_workers": 2}),
            (f"with {large} workers", MAY, {"num_workers": large}),
            (f"with {each.most_workers + above} workers", MUST, {"num_workers": each.most_workers + above}),
            (
                "scaling by itself",
                OPEN,
                {
                    "num_workers": None,
                    "autoscale": {"min_workers": 1, "max_workers": each.most_workers + above},
                },
            ),
            (
                "scaling by itself within the size",
                MAY,
                {"num_workers": None, "autoscale": {"min_workers": 1, "max_workers": 2}},
            ),
            ("without naming the pool", MUST, {"instance_pool_id": None}),
            ("with the driver from the same pool", MUST, {"driver_instance_pool_id": each.team}),
            ("with the driver from the pool of big drivers", OPEN, {"driver_instance_pool_id": BIG_DRIVERS}),
            ("from the pool of big drivers", MUST, {"instance_pool_id": BIG_DRIVERS}),
            ("with Photon", MAY, {"runtime_engine": "PHOTON"}),
            (
                f"with Photon and {each.most_workers} workers",
                MUST,
                {"runtime_engine": "PHOTON", "num_workers": each.most_workers},
            ),
            ("with spark_conf", MUST, {"spark_conf": {"spark.sql.shuffle.partitions": "64"}}),
            ("in the mode SINGLE_USER", MAY, {"data_security_mode": "SINGLE_USER"}),
            ("with environment variables", OPEN, {"spark_env_vars": {"PIP_INDEX_URL": "http://elsewhere"}}),
        ]
    else:
        found += [
            ("as a job cluster", MUST, {"cluster_type": "job"}),
            ("without num_workers", MUST, {"num_workers": None}),
            (
                "that says nothing of being a single machine",
                MAY,
                {"num_workers": None, "is_single_node": None},
            ),
            (f"with {below} workers", MUST, {"num_workers": below, "is_single_node": False}),
            (
                "scaling by itself",
                OPEN,
                {
                    "num_workers": None,
                    "is_single_node": False,
                    "autoscale": {"min_workers": 1, "max_workers": 8},
                },
            ),
            ("on the smaller machine", MAY, {"node_type_id": each.nodes[0]}),
            ("on a large machine", MAY, {"node_type_id": "i3.4xlarge"}),
            ("with a large driver", OPEN, {"driver_node_type_id": "r5.4xlarge"}),
            ("with an allowed driver", MUST, {"driver_node_type_id": each.nodes[1]}),
            ("from the team's pool", OPEN, {"node_type_id": None, "instance_pool_id": each.team}),
            ("that never stops", MUST, {"autotermination_minutes": 0}),
            (
                f"that stops after {each.idle_minutes + above} minutes",
                MAY,
                {"autotermination_minutes": each.idle_minutes + above},
            ),
            (
                "that says nothing of stopping, nor asks for defaults",
                MUST,
                {"autotermination_minutes": None, "apply_policy_default_values": False},
            ),
            ("without machine learning", MAY, {"spark_version": STANDARD[0]}),
            ("with a named user", MUST, {"single_user_name": "somebody@example.com"}),
            ("with environment variables", MAY, {"spark_env_vars": {"MODEL": "small"}}),
            ("with spark_conf", OPEN, {"spark_conf": {"spark.executor.memory": "100g"}}),
            ("with Photon", OPEN, {"runtime_engine": "PHOTON"}),
        ]
    return found


def _usual_type(each: Allowance) -> str:
    return "job" if each.kind == "engineers" else "all-purpose"


def allowed(each: Allowance, spec: Spec, cluster_type: str, pool_node: str) -> bool:
    """What the requirements in words say of a specification; sentence by sentence, and not by way of a policy."""
    tags = spec.get("custom_tags", {})
    if (
        tags.get("team", each.team) != each.team
        or tags.get("cost_center", each.cost_center) != each.cost_center
    ):
        return False
    if cluster_type != _usual_type(each):
        return False
    given = set(spec) - FREE
    minutes = spec.get("autotermination_minutes")
    if minutes is None and each.kind != "engineers" and spec.get("apply_policy_default_values") is False:
        return False
    stops = minutes is None or 10 <= minutes <= each.idle_minutes
    if each.kind == "analysts":
        if given - {
            "spark_version",
            "node_type_id",
            "driver_node_type_id",
            "autoscale",
            "autotermination_minutes",
            "data_security_mode",
            "runtime_engine",
        }:
            return False
        scale = spec["autoscale"]
        return (
            1 <= scale["min_workers"] <= scale["max_workers"] <= each.most_workers
            and {spec.get("node_type_id", each.nodes[0]), spec.get("driver_node_type_id", each.nodes[0])}
            <= set(each.nodes)
            and stops
            and spec["spark_version"] in STANDARD
            and spec.get("data_security_mode", "USER_ISOLATION") == "USER_ISOLATION"
            and spec.get("runtime_engine", "STANDARD") == "STANDARD"
        )
    if each.kind == "engineers":
        if given - {
            "spark_version",
            "num_workers",
            "instance_pool_id",
            "driver_instance_pool_id",
            "runtime_engine",
            "data_security_mode",
            "spark_conf",
        }:
            return False
        rate = RATES[pool_node] * (2 if spec.get("runtime_engine") == "PHOTON" else 1)
        return (
            1 <= spec["num_workers"] <= each.most_workers
            and {spec.get("instance_pool_id", each.team), spec.get("driver_instance_pool_id", each.team)}
            == {each.team}
            and rate * (spec["num_workers"] + 1) <= each.most_dbus + 1e-9
            and spec["spark_version"] == STANDARD[0]
            and spec.get("data_security_mode", "SINGLE_USER") == "SINGLE_USER"
        )
    if given - {
        "spark_version", "node_type_id", "driver_node_type_id", "is_single_node", "num_workers", "autotermination_minutes", "data_security_mode",
        "single_user_name", "spark_env_vars", "runtime_engine",
    }:  # fmt: skip
        return False
    return (
        spec.get("is_single_node", True)
        and spec.get("num_workers", 0) == 0
        and {spec.get("node_type_id", each.nodes[0]), spec.get("driver_node_type_id", each.nodes[0])}
        <= set(each.nodes)
        and stops
        and spec["spark_version"] in ML
        and spec.get("data_security_mode", "SINGLE_USER") == "SINGLE_USER"
        and spec.get("runtime_engine", "STANDARD") == "STANDARD"
    )


# Trying them


def _admit(w: Trial, person: str, spec: Spec, cluster_type: str, pools: dict[str, str]) -> Spec:
    """The cluster that somebody would have, with what the policy fills in. Raises WorkspaceError for a refusal."""
    given: Spec = {"apply_policy_default_values": True, **spec}
    for field in ("instance_pool_id", "driver_instance_pool_id"):
        if field in given:
            given[field] = pools[given[field]]
    found: Spec = {}
    with w.trying(person) as ctx:
        found = compute.admit(ctx, given, cluster_type)
    return found


def _tried(w: Trial, policies: dict[str, str], pools: dict[str, str], each: dict[str, Any]) -> dict[str, Any]:
    told = {name: each[name] for name in ("team", "what", "door", "wanted")}
    try:
        _admit(w, each["person"], {**each["spec"], "policy_id": policies[each["team"]]}, each["type"], pools)
    except (InvalidParameter, PermissionDenied, NotFound) as refusal:
        return {**told, "got": False, "why": refusal.message[:200]}
    return {**told, "got": True, "why": ""}


def _unfilled(
    w: Trial, policies: dict[str, str], pools: dict[str, str], told: Company, each: Allowance
) -> list[str]:
    """What of a cluster about which little was said came out otherwise than the words have it."""
    spec: Spec = {"policy_id": policies[each.team]}
    wanted: Spec = {"custom_tags.team": each.team, "custom_tags.cost_center": each.cost_center}
    if each.kind == "analysts":
        spec |= {"spark_version": STANDARD[0], "autoscale": {"min_workers": 1, "max_workers": 2}}
        wanted |= {"data_security_mode": "USER_ISOLATION", "runtime_engine": "STANDARD"}
    elif each.kind == "engineers":
        spec |= {"spark_version": STANDARD[0], "num_workers": 1}
        wanted |= {"instance_pool_id": pools[each.team], "data_security_mode": "SINGLE_USER"}
    else:
        spec |= {"spark_version": ML[0]}
        wanted |= {"is_single_node": True, "data_security_mode": "SINGLE_USER", "runtime_engine": "STANDARD"}
    if each.kind != "engineers":
        wanted |= {"autotermination_minutes": each.usual_minutes, "node_type_id": each.nodes[0]}
    try:
        found = _admit(w, told.teams[each.team][0], spec, _usual_type(each), pools)
    except WorkspaceError as refusal:
        return [f"a cluster of which little is said was refused: {refusal.message[:200]}"]
    flat = found | {f"custom_tags.{name}": value for name, value in found.get("custom_tags", {}).items()}
    return [f"{name} is {flat.get(name)!r}" for name, value in wanted.items() if flat.get(name) != value]


def _for_others(
    w: Trial,
    policies: dict[str, str],
    pools: dict[str, str],
    told: Company,
    draw: np.random.Generator,
    seed: int,
) -> list[str]:
    """Who has a cluster under a policy that isn't theirs, or under none."""
    found = []
    for each in allowances(seed):
        spec = plain(each, draw)
        strangers = [
            person
            for person in told.everybody
            if person not in told.teams[each.team] and person not in told.platform
        ]
        for person in [*strangers[:3], told.outside]:
            try:
                _admit(w, person, {**spec, "policy_id": policies[each.team]}, _usual_type(each), pools)
                found.append(f"{person} of no such team uses the policy {each.team}")
            except WorkspaceError:
                pass
        person = told.teams[each.team][-1]
        try:
            _admit(w, person, spec, _usual_type(each), pools)
            found.append(f"{person} has a cluster without a policy")
        except WorkspaceError:
            pass
    return found
