"""A cluster's attributes by the paths that policies name them with: what each holds, how it is read and set. Pure.

Source: the table of attributes in "Compute policy reference"; of it those are here that a cluster of this workspace has. Keys of maps may hold
dots (`spark_conf.spark.executor.memory`), and init scripts have numbers (`init_scripts.0.workspace.destination`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from labs_lib.workspace.compute.specification import InitScript, Spec

Scalar = str | int | float | bool
NUMBER, TEXT, BOOLEAN = "a number", "a text", "true or false"

MAPS = ("custom_tags", "spark_conf", "spark_env_vars")
SCRIPTS = "init_scripts"
VIRTUAL = ("dbus_per_hour", "cluster_type")
_PATHS = {
    NUMBER: """
        autoscale.max_workers autoscale.min_workers autotermination_minutes dbus_per_hour num_workers
        aws_attributes.first_on_demand aws_attributes.spot_bid_price_percent
    """,
    TEXT: """
        cluster_name cluster_type data_security_mode driver_instance_pool_id driver_node_type_id instance_pool_id node_type_id
        runtime_engine single_user_name spark_version aws_attributes.availability aws_attributes.zone_id
    """,
    BOOLEAN: "enable_elastic_disk is_single_node",
}
_ATTRIBUTES = {path: kind for kind, paths in _PATHS.items() for path in paths.split()}
_SCRIPT = re.compile(
    rf"{SCRIPTS}\.(\*|0|[1-9]\d?)\.({'|'.join(InitScript.model_fields)})\.destination", re.ASCII
)


def type_of(path: str) -> str | None:
    """What an attribute holds; None if there is none of that path."""
    root, _, rest = path.partition(".")
    if root in MAPS:
        return TEXT if rest and (rest == "*" or "*" not in rest) else None
    return TEXT if _SCRIPT.fullmatch(path) else _ATTRIBUTES.get(path)


def is_container(path: str) -> bool:
    """Whether attributes lie below a path, so that they can be forbidden together."""
    if path in (*MAPS, SCRIPTS) or re.fullmatch(rf"{SCRIPTS}\.(\*|0|[1-9]\d?)", path, re.ASCII):
        return True
    return any(name.startswith(f"{path}.") for name in _ATTRIBUTES)


def flatten(spec: Spec) -> dict[str, Scalar]:
    """A cluster's attributes by the paths that policies name them with."""
    found: dict[str, Scalar] = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                walk(inner, f"{path}.{key}")
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                walk(inner, f"{path}.{index}")
        elif value is not None:
            found[path] = value

    for name, value in spec.items():
        if name not in ("policy_id", "apply_policy_default_values"):
            walk(value, name)
    return found


def as_text(value: Scalar) -> str:
    """A value as it is compared: a policy writes true and 4 where a Spark setting writes "true" and "4"."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def put(spec: dict[str, Any], path: str, value: Scalar) -> None:
    """Set an attribute of a cluster. Init scripts grow by one at their end; one that is there isn't turned into another."""
    root, _, rest = path.partition(".")
    value = as_text(value) if type_of(path) == TEXT else value
    if root in MAPS:
        spec.setdefault(root, {})[rest] = value
    elif root == SCRIPTS:
        index, place, field = rest.split(".")
        if int(index) == len(spec.setdefault(root, [])):
            spec[root].append({place: {field: value}})
    else:
        *parents, name = path.split(".")
        for parent in parents:
            spec = spec.setdefault(parent, {})
        spec[name] = value
