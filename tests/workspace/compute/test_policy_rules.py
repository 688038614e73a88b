"""Policies against clusters: the right answer of each case is written by hand from Databricks' "Compute policy reference"."""

from __future__ import annotations

import json
from typing import Any

import pytest

from labs_lib.workspace.compute.policies.definitions import MalformedPolicy, parse
from labs_lib.workspace.compute.policies.rules import apply_defaults, check

BASE = {"spark_version": "16.4.x-scala2.12", "node_type_id": "m5.xlarge", "num_workers": 2}
POOLS = {"small": "m5.large", "large": "i3.4xlarge"}
POOLED = {"spark_version": "16.4.x-scala2.12", "num_workers": 2, "instance_pool_id": "small"}
SCALING = {
    "spark_version": "16.4.x-scala2.12",
    "node_type_id": "m5.xlarge",
    "autoscale": {"min_workers": 1, "max_workers": 8},
}

FIXED_NODE = {"node_type_id": {"type": "fixed", "value": "m5.xlarge"}}
NODES = {"node_type_id": {"type": "allowlist", "values": ["m5.large", "m5.xlarge"]}}
NO_LARGE = {"node_type_id": {"type": "blocklist", "values": ["i3.4xlarge"]}}
WORKERS = {"num_workers": {"type": "range", "minValue": 1, "maxValue": 4}}
WORKERS_IF_ANY = {"num_workers": {"type": "range", "maxValue": 4, "isOptional": True}}
SCALE = {"autoscale.max_workers": {"type": "range", "maxValue": 8}}
SCALE_IF_ANY = {"autoscale.max_workers": {"type": "range", "maxValue": 8, "isOptional": True}}
MINUTES = {"autotermination_minutes": {"type": "range", "minValue": 10, "maxValue": 60}}
TEAM = {"custom_tags.team": {"type": "unlimited"}}
PATTERN = {"custom_tags.cost_center": {"type": "regex", "pattern": "[0-9]{4}"}}
MEMORY = {"spark_conf.spark.executor.memory": {"type": "allowlist", "values": ["4g", "8g"]}}
CORES = {"spark_conf.spark.task.cpus": {"type": "range", "maxValue": 4}}
SCRIPTS = {"init_scripts.*.workspace.destination": {"type": "regex", "pattern": "/Shared/.*"}}
FIRST_SCRIPT = {
    "init_scripts.0.workspace.destination": {"type": "fixed", "value": "/Shared/base.sh"},
    "init_scripts.*.workspace.destination": {"type": "forbidden"},
}
ONE_PLACE = {"init_scripts.*": {"type": "forbidden"}, **SCRIPTS}
NO_SCRIPTS = {"init_scripts.*": {"type": "forbidden"}}
ONLY_TEAM = {"custom_tags.team": {"type": "unlimited"}, "custom_tags.*": {"type": "forbidden"}}
DBUS = {"dbus_per_hour": {"type": "range", "maxValue": 5}}
JOBS = {"cluster_type": {"type": "fixed", "value": "job"}}


def scripts(*paths: str, place: str = "workspace") -> dict[str, Any]:
    """A part of a cluster: init scripts."""
    return {"init_scripts": [{place: {"destination": path}} for path in paths]}


# name: (policy, cluster, paths that are refused)
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    # What no rule names isn't limited.
    "nothing limited": ({}, {**BASE, "num_workers": 5_000}, []),
    "unlisted beside a limit": (FIXED_NODE, {**BASE, "num_workers": 5_000}, []),
    "unlisted driver type": (FIXED_NODE, {**BASE, "driver_node_type_id": "i3.4xlarge"}, []),
    # fixed
    "fixed, kept": (FIXED_NODE, BASE, []),
    "fixed, another": (FIXED_NODE, {**BASE, "node_type_id": "m5.large"}, ["node_type_id"]),
    "fixed, other case of letters": (FIXED_NODE, {**BASE, "node_type_id": "M5.xlarge"}, ["node_type_id"]),
    "fixed number, kept": ({"num_workers": {"type": "fixed", "value": 2}}, BASE, []),
    "fixed number as a float": ({"num_workers": {"type": "fixed", "value": 2.0}}, BASE, []),
    "fixed number, another": ({"num_workers": {"type": "fixed", "value": 3}}, BASE, ["num_workers"]),
    "fixed zero is a value": ({"num_workers": {"type": "fixed", "value": 0}}, BASE, ["num_workers"]),
    "fixed truth, kept": ({"enable_elastic_disk": {"type": "fixed", "value": True}}, {**BASE, "enable_elastic_disk": True}, []),
    "fixed truth, false": ({"enable_elastic_disk": {"type": "fixed", "value": True}}, {**BASE, "enable_elastic_disk": False}, ["enable_elastic_disk"]),
    "fixed setting as a truth": ({"spark_conf.spark.speculation": {"type": "fixed", "value": True}}, {**BASE, "spark_conf": {"spark.speculation": "true"}}, []),
    "fixed setting, another": ({"spark_conf.a": {"type": "fixed", "value": "x"}}, {**BASE, "spark_conf": {"a": "y"}}, ["spark_conf.a"]),
    "fixed on a scaling cluster's workers": ({"num_workers": {"type": "fixed", "value": 2}}, SCALING, ["num_workers"]),
    # forbidden
    "forbidden, left out": ({"instance_pool_id": {"type": "forbidden"}}, BASE, []),
    "forbidden, given": ({"instance_pool_id": {"type": "forbidden"}}, POOLED, ["instance_pool_id"]),
    "forbidden driver pool, inherited": ({"driver_instance_pool_id": {"type": "forbidden"}}, POOLED, []),
    "forbidden driver pool, given": ({"driver_instance_pool_id": {"type": "forbidden"}}, {**POOLED, "driver_instance_pool_id": "large"}, ["driver_instance_pool_id"]),
    "forbidden zero": ({"autotermination_minutes": {"type": "forbidden"}}, {**BASE, "autotermination_minutes": 0}, ["autotermination_minutes"]),
    "forbidden false": ({"enable_elastic_disk": {"type": "forbidden"}}, {**BASE, "enable_elastic_disk": False}, ["enable_elastic_disk"]),
    "forbidden whole": ({"autoscale": {"type": "forbidden"}}, SCALING, ["autoscale.max_workers", "autoscale.min_workers"]),
    # allowlist and blocklist
    "allowlist, in it": (NODES, BASE, []),
    "allowlist, not in it": (NODES, {**BASE, "node_type_id": "i3.xlarge"}, ["node_type_id"]),
    "allowlist, missing": ({"custom_tags.env": {"type": "allowlist", "values": ["dev"]}}, BASE, ["custom_tags.env"]),
    "allowlist, missing but optional": ({"custom_tags.env": {"type": "allowlist", "values": ["dev"], "isOptional": True}}, BASE, []),
    "allowlist, optional and wrong": ({"custom_tags.env": {"type": "allowlist", "values": ["dev"], "isOptional": True}}, {**BASE, "custom_tags": {"env": "prod"}}, ["custom_tags.env"]),
    "allowlist of a setting": (MEMORY, {**BASE, "spark_conf": {"spark.executor.memory": "16g"}}, ["spark_conf.spark.executor.memory"]),
    "allowlist of numbers for a tag": ({"custom_tags.level": {"type": "allowlist", "values": [1, 2]}}, {**BASE, "custom_tags": {"level": "2"}}, []),
    "allowlist, with a blank": (NODES, {**BASE, "node_type_id": "m5.large "}, ["node_type_id"]),
    "blocklist, not in it": (NO_LARGE, BASE, []),
    "blocklist, in it": (NO_LARGE, {**BASE, "node_type_id": "i3.4xlarge"}, ["node_type_id"]),
    "blocklist, missing": ({"custom_tags.env": {"type": "blocklist", "values": ["prod"]}}, BASE, ["custom_tags.env"]),
    "blocklist, a blank goes round it": ({"custom_tags.env": {"type": "blocklist", "values": ["prod"]}}, {**BASE, "custom_tags": {"env": "prod "}}, []),
    # range
    "range, inside": (WORKERS, BASE, []),
    "range, at its upper end": (WORKERS, {**BASE, "num_workers": 4}, []),
    "range, at its lower end": (WORKERS, {**BASE, "num_workers": 1}, []),
    "range, above": (WORKERS, {**BASE, "num_workers": 5}, ["num_workers"]),
    "range, below": (WORKERS, {**BASE, "num_workers": 0}, ["num_workers"]),
    "range, null is no limit": ({"num_workers": {"type": "range", "minValue": 1, "maxValue": None}}, {**BASE, "num_workers": 900}, []),
    "range, missing minutes": (MINUTES, BASE, ["autotermination_minutes"]),
    "range, never ending minutes": (MINUTES, {**BASE, "autotermination_minutes": 0}, ["autotermination_minutes"]),
    "range without a lower end lets never end": ({"autotermination_minutes": {"type": "range", "maxValue": 60}}, {**BASE, "autotermination_minutes": 0}, []),
    "range of a setting": (CORES, {**BASE, "spark_conf": {"spark.task.cpus": "8"}}, ["spark_conf.spark.task.cpus"]),
    "range of a setting, inside": (CORES, {**BASE, "spark_conf": {"spark.task.cpus": "4"}}, []),
    "range of a setting that is no number": (CORES, {**BASE, "spark_conf": {"spark.task.cpus": "nan"}}, ["spark_conf.spark.task.cpus"]),
    # regex
    "regex, whole": (PATTERN, {**BASE, "custom_tags": {"cost_center": "1234"}}, []),
    "regex, only a part": (PATTERN, {**BASE, "custom_tags": {"cost_center": "12345"}}, ["custom_tags.cost_center"]),
    "regex, a line break behind it": (PATTERN, {**BASE, "custom_tags": {"cost_center": "1234\n"}}, ["custom_tags.cost_center"]),
    "regex, missing": (PATTERN, BASE, ["custom_tags.cost_center"]),
    "regex, alternatives as a whole": ({"cluster_name": {"type": "regex", "pattern": "dev|prod"}}, {**BASE, "cluster_name": "dev-prod"}, ["cluster_name"]),
    # unlimited
    "unlimited, given": (TEAM, {**BASE, "custom_tags": {"team": "risk"}}, []),
    "unlimited requires": (TEAM, BASE, ["custom_tags.team"]),
    "unlimited and optional": ({"custom_tags.team": {"type": "unlimited", "isOptional": True}}, BASE, []),
    "unlimited, an empty text is there": (TEAM, {**BASE, "custom_tags": {"team": ""}}, []),
    # num_workers and autoscale
    "workers limited, scaling instead": (WORKERS, SCALING, ["num_workers"]),
    "workers limited if any, scaling instead": (WORKERS_IF_ANY, {**SCALING, "autoscale": {"min_workers": 1, "max_workers": 900}}, []),
    "scaling limited, inside": (SCALE, SCALING, []),
    "scaling limited, above": (SCALE, {**SCALING, "autoscale": {"min_workers": 1, "max_workers": 9}}, ["autoscale.max_workers"]),
    "scaling limited, workers instead": (SCALE, BASE, ["autoscale.max_workers"]),
    "scaling limited if any, workers instead": (SCALE_IF_ANY, {**BASE, "num_workers": 900}, []),
    "both limited if any, workers above": ({**WORKERS_IF_ANY, **SCALE_IF_ANY}, {**BASE, "num_workers": 5}, ["num_workers"]),
    # pools
    "node types hold for a pool's machines": (NODES, {**POOLED, "instance_pool_id": "large"}, ["node_type_id"]),
    "node types hold for a pool's machines, allowed": (NODES, POOLED, []),
    "driver of a pool that nobody listed": (NODES, {**POOLED, "driver_instance_pool_id": "large"}, []),
    "driver types hold for a driver's pool": ({**NODES, "driver_node_type_id": NODES["node_type_id"]}, {**POOLED, "driver_instance_pool_id": "large"}, ["driver_node_type_id"]),
    "driver types hold for a driver like its workers": ({"driver_node_type_id": {"type": "fixed", "value": "m5.xlarge"}}, BASE, []),
    "driver types, another": ({"driver_node_type_id": {"type": "fixed", "value": "m5.xlarge"}}, {**BASE, "driver_node_type_id": "i3.4xlarge"}, ["driver_node_type_id"]),
    "one pool, another": ({"instance_pool_id": {"type": "fixed", "value": "small"}}, {**POOLED, "instance_pool_id": "large"}, ["instance_pool_id"]),
    "one pool, none": ({"instance_pool_id": {"type": "fixed", "value": "small"}}, BASE, ["instance_pool_id"]),
    # arrays
    "every script, right": (SCRIPTS, {**BASE, **scripts("/Shared/a.sh", "/Shared/b.sh")}, []),
    "every script, the second wrong": (SCRIPTS, {**BASE, **scripts("/Shared/a.sh", "/Users/b.sh")}, ["init_scripts.1.workspace.destination"]),
    "every script requires none": (SCRIPTS, BASE, []),
    "every script of one place says nothing of another": (SCRIPTS, {**BASE, **scripts("s3://b/x.sh", place="s3")}, []),
    "the first script, and no other": (FIRST_SCRIPT, {**BASE, **scripts("/Shared/base.sh")}, []),
    "the first script, and another": (FIRST_SCRIPT, {**BASE, **scripts("/Shared/base.sh", "/Shared/b.sh")}, ["init_scripts.1.workspace.destination"]),
    "the first script, missing": (FIRST_SCRIPT, BASE, ["init_scripts.0.workspace.destination"]),
    "no script of any place": (NO_SCRIPTS, {**BASE, **scripts("s3://b/x.sh", place="s3")}, ["init_scripts.0.s3.destination"]),
    "no script but of one place": (ONE_PLACE, {**BASE, **scripts("/Shared/a.sh")}, []),
    "no script but of one place, another": (ONE_PLACE, {**BASE, **scripts("s3://b/x.sh", place="s3")}, ["init_scripts.0.s3.destination"]),
    # maps
    "only one tag": (ONLY_TEAM, {**BASE, "custom_tags": {"team": "risk"}}, []),
    "only one tag, and another": (ONLY_TEAM, {**BASE, "custom_tags": {"team": "risk", "a.b": "x"}}, ["custom_tags.a.b"]),
    "every tag": ({"custom_tags.*": {"type": "regex", "pattern": "[a-z]+"}}, {**BASE, "custom_tags": {"a": "x", "b": "Y"}}, ["custom_tags.b"]),
    # virtual attributes
    "DBUs, at most": (DBUS, BASE, []),  # 3 x 0.69
    "DBUs, above": (DBUS, {**BASE, "num_workers": 7}, ["dbus_per_hour"]),  # 8 x 0.69 = 5.52
    "DBUs of the most workers": (DBUS, SCALING, ["dbus_per_hour"]),  # 9 x 0.69 = 6.21
    "DBUs of the driver too": (DBUS, {**BASE, "driver_node_type_id": "i3.4xlarge"}, ["dbus_per_hour"]),  # 4 + 2 x 0.69
    "DBUs of a pool": (DBUS, {**POOLED, "driver_instance_pool_id": "large", "num_workers": 3}, ["dbus_per_hour"]),  # 4 + 3 x 0.34
    "DBUs under Photon": (DBUS, {**BASE, "num_workers": 3, "runtime_engine": "PHOTON"}, ["dbus_per_hour"]),  # 2 x 4 x 0.69
    "only for jobs": (JOBS, BASE, ["cluster_type"]),
    # others
    "spot": ({"aws_attributes.availability": {"type": "fixed", "value": "SPOT"}}, {**BASE, "aws_attributes": {"availability": "ON_DEMAND"}}, ["aws_attributes.availability"]),
    "the newest long-term version": ({"spark_version": {"type": "fixed", "value": "auto:prev-lts"}}, BASE, []),
    "several at once": ({**WORKERS, **TEAM, **MINUTES}, {**BASE, "num_workers": 99}, ["autotermination_minutes", "custom_tags.team", "num_workers"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_policy_refuses_what_the_reference_says_and_nothing_else(name: str) -> None:
    rules, spec, refused = CASES[name]
    violations = check(parse(json.dumps(rules)), spec, pools=POOLS)
    assert sorted(violation.path for violation in violations) == refused
    for violation in violations:
        assert violation.sentence.startswith(f"Validation failed for {violation.path}")


def test_a_sentence_names_attribute_rule_and_value() -> None:
    (violation,) = check(parse(json.dumps(WORKERS)), {**BASE, "num_workers": 9})
    assert violation.sentence == "Validation failed for num_workers, the value must be between 1 and 4 (is 9)"


def test_the_type_of_a_cluster_is_who_starts_it() -> None:
    assert not check(parse(json.dumps(JOBS)), BASE, cluster_type="job")


MALFORMED = {
    "": "no JSON",
    "[]": "must be a JSON object",
    '{"num_workers": {"type": "range", "maxValue": 1}, "num_workers": {"type": "unlimited"}}': "'num_workers' is named twice",
    '{"num_workers": {"value": 1}}': "unable to extract tag using discriminator 'type'",
    '{"num_workers": {"type": "maximum", "value": 1}}': "input tag 'maximum' found using 'type'",
    '{"num_workers": {"type": "range", "max": 1}}': "range.max is 1: extra inputs are not permitted",
    '{"num_workers": {"type": "range"}}': "needs minValue or maxValue",
    '{"num_workers": {"type": "range", "minValue": 5, "maxValue": 1}}': "minValue 5 is above maxValue 1",
    '{"num_workers": {"type": "range", "maxValue": "4"}}': "range.maxValue.int is '4': input should be a valid integer",
    '{"num_workers": {"type": "range", "maxValue": NaN}}': "range.maxValue.int is nan",
    '{"num_workers": {"type": "range", "maxValue": 4, "defaultValue": 9}}': "its own 'defaultValue' 9 is refused by it",
    '{"num_workers": {"type": "fixed", "value": null}}': "fixed.value.bool is None",
    '{"num_workers": {"type": "fixed"}}': "fixed.value is missing",
    '{"num_workers": {"type": "fixed", "value": "ten"}}': "its values must be a number (is \"ten\")",
    '{"num_workers": {"type": "fixed", "value": 1, "defaultValue": 1}}': "fixed.defaultValue is 1: extra inputs are not permitted",
    '{"num_workers": {"type": "unlimited", "isOptional": "yes"}}': "unlimited.isOptional is 'yes'",
    '{"node_type_id": {"type": "range", "maxValue": 4}}': "'range' limits numbers",
    '{"node_type_id": {"type": "allowlist", "values": []}}': "allowlist.values is []: list should have at least 1 item",
    '{"node_type_id": {"type": "allowlist", "values": "m5.large"}}': "allowlist.values is 'm5.large': input should be a valid list",
    '{"node_type_id": {"type": "regex", "pattern": "("}}': "the pattern is none",
    '{"node_type_id": {"type": "regex", "pattern": "(?=m5).*"}}': "no lookaround",
    '{"node_type_id": {"type": "regex", "pattern": "(a)\\\\1"}}': "no back references",
    '{"node_type_id": {"type": "regex", "pattern": "' + "a" * 301 + '"}}': "string should have at most 300 characters",
    '{"node_type_id": {"type": "regex", "pattern": "(.{30}){30}{30}"}}': "the pattern is none",
    '{"cluster_dbu_quota": {"type": "range", "maxValue": 10}}': "'cluster_dbu_quota': is no attribute that a policy can limit",
    '{"init_scripts.first.s3.destination": {"type": "unlimited"}}': "is no attribute that a policy can limit",
    '{"autoscale": {"type": "unlimited"}}': "is no attribute that a policy can limit",
    '{"cluster_type": {"type": "forbidden"}}': "every cluster has it",
    "[" * 100_000: "no JSON",
    '{"custom_tags.a": {"type": "fixed", "value": ' + "9" * 5_000 + "}}": "no JSON",
}  # fmt: skip


@pytest.mark.parametrize("definition", MALFORMED, ids=range(len(MALFORMED)))
def test_a_definition_that_says_nothing_sound_is_refused_with_its_attribute_and_rule(definition: str) -> None:
    with pytest.raises(MalformedPolicy) as refused:
        parse(definition)
    assert MALFORMED[definition] in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_huge_definition_is_refused() -> None:
    with pytest.raises(MalformedPolicy, match="characters"):
        parse(json.dumps({f"custom_tags.t{i}": {"type": "unlimited"} for i in range(10_000)}))


def test_a_pattern_that_backtracks_without_end_elsewhere_answers() -> None:
    policy = parse(json.dumps({"cluster_name": {"type": "regex", "pattern": "(a+)+b"}}))
    assert check(
        policy, {**BASE, "cluster_name": "a" * 100}
    )  # Python's own engine would need 2**100 steps, and never end


def test_fixed_values_are_filled_in_always_and_defaults_only_when_asked() -> None:
    policy = parse(
        json.dumps(
            {
                "node_type_id": {"type": "fixed", "value": "m5.large"},
                "spark_version": {"type": "unlimited", "defaultValue": "auto:prev-lts"},
                "custom_tags.team": {"type": "fixed", "value": "risk"},
                "autotermination_minutes": {"type": "range", "maxValue": 60, "defaultValue": 30},
                "enable_elastic_disk": {"type": "unlimited", "defaultValue": False, "isOptional": True},
                "init_scripts.0.workspace.destination": {"type": "fixed", "value": "/Shared/a.sh"},
            }
        )
    )
    fixed = {
        "num_workers": 1,
        "node_type_id": "m5.large",
        "custom_tags": {"team": "risk"},
        "init_scripts": [{"workspace": {"destination": "/Shared/a.sh"}}],
    }
    given = {"num_workers": 1}
    assert apply_defaults(policy, given, defaults=False) == fixed
    assert apply_defaults(policy, given, defaults=True) == {
        **fixed,
        "spark_version": "16.4.x-scala2.12",
        "autotermination_minutes": 30,
        "enable_elastic_disk": False,
    }
    assert given == {"num_workers": 1}
    assert [violation.path for violation in check(policy, fixed)] == [
        "autotermination_minutes",
        "spark_version",
    ]


def test_what_a_request_says_is_not_filled_in_over() -> None:
    policy = parse(json.dumps({"num_workers": {"type": "unlimited", "defaultValue": 4}, **FIXED_NODE}))
    filled = apply_defaults(policy, {"num_workers": 1, "node_type_id": "m5.large"}, defaults=True)
    assert filled == {"num_workers": 1, "node_type_id": "m5.large"}


@pytest.mark.parametrize("way", ["num_workers", "autoscale"])
def test_only_one_way_of_saying_a_size_is_filled_in(way: str) -> None:
    rules = {
        "num_workers": {"type": "unlimited", "defaultValue": 4, "isOptional": True},
        "autoscale.min_workers": {"type": "unlimited", "defaultValue": 1, "isOptional": True},
        "autoscale.max_workers": {"type": "unlimited", "defaultValue": 3, "isOptional": True},
    }
    if way == "num_workers":
        assert apply_defaults(parse(json.dumps(rules)), {}, defaults=True) == {"num_workers": 4}
    else:
        filled = apply_defaults(parse(json.dumps(rules)), {"autoscale": {"min_workers": 2}}, defaults=True)
        assert filled == {"autoscale": {"min_workers": 2, "max_workers": 3}}


def test_a_node_type_is_not_filled_in_beside_a_pool() -> None:
    filled = apply_defaults(parse(json.dumps(FIXED_NODE)), POOLED, defaults=True)
    assert "node_type_id" not in filled
    assert [v.path for v in check(parse(json.dumps(FIXED_NODE)), filled, pools=POOLS)] == ["node_type_id"]
