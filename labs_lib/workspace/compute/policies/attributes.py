"""A cluster's attributes by the paths that policies name them with: what each holds, how it is read, set and taken away. Pure.

Source: the table of attributes in "Compute policy reference". Keys of maps may hold dots (`spark_conf.spark.executor.memory`), elements of
arrays have numbers (`init_scripts.0.workspace.destination`), and a log's place is `cluster_log_conf.type`, `.path` and `.region`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from labs_lib.workspace.compute.specification import Spec

Scalar = str | int | float | bool
NUMBER, TEXT, BOOLEAN = "a number", "a text", "true or false"

MAPS = ("custom_tags", "spark_conf", "spark_env_vars")
VIRTUAL = ("dbus_per_hour", "cluster_type")
_PLACES = ("abfss", "dbfs", "file", "gcs", "s3", "volumes", "workspace")
_ARRAYS: dict[str, tuple[str, ...]] = {
    "init_scripts": (*(f"{place}.destination" for place in _PLACES), "s3.region"),
    "ssh_public_keys": ("",),
}
_PATHS = {
    NUMBER: """
        autoscale.max_workers autoscale.min_workers autotermination_minutes dbus_per_hour num_workers
        aws_attributes.ebs_volume_count aws_attributes.ebs_volume_iops aws_attributes.ebs_volume_size aws_attributes.ebs_volume_throughput
        aws_attributes.first_on_demand aws_attributes.spot_bid_price_percent
    """,
    TEXT: """
        cluster_log_conf.path cluster_log_conf.region cluster_log_conf.type cluster_name cluster_type data_security_mode
        docker_image.basic_auth.password docker_image.basic_auth.username docker_image.url driver_instance_pool_id driver_node_type_id
        instance_pool_id kind node_type_id runtime_engine single_user_name spark_version
        aws_attributes.availability aws_attributes.ebs_volume_type aws_attributes.instance_profile_arn aws_attributes.zone_id
    """,
    BOOLEAN: """
        enable_elastic_disk enable_local_disk_encryption is_single_node use_ml_runtime
        workload_type.clients.jobs workload_type.clients.notebooks
    """,
}
_ATTRIBUTES = {path: kind for kind, paths in _PATHS.items() for path in paths.split()}


def type_of(path: str) -> str | None:
    """What an attribute holds; None if there is none of that path."""
    root, _, rest = path.partition(".")
    if root in MAPS:
        return TEXT if rest and (rest == "*" or "*" not in rest) else None
    if root in _ARRAYS:
        index, _, leaf = rest.partition(".")
        return TEXT if re.fullmatch(r"\*|0|[1-9]\d?", index, re.ASCII) and leaf in _ARRAYS[root] else None
    return _ATTRIBUTES.get(path)


def is_container(path: str) -> bool:
    """Whether attributes lie below a path, so that they can be forbidden together."""
    root, _, rest = path.partition(".")
    if root in MAPS:
        return not rest
    if root in _ARRAYS:
        return re.fullmatch(r"|\*|0|[1-9]\d?", rest, re.ASCII) is not None and (
            not rest or "" not in _ARRAYS[root]
        )
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
            walk(_log_attributes(value) if name == "cluster_log_conf" else value, name)
    return found


def as_text(value: Scalar) -> str:
    """A value as it is compared: a policy writes true and 4 where a Spark setting writes "true" and "4"."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def put(spec: dict[str, Any], path: str, value: Scalar) -> None:
    """Set an attribute of a cluster. An array grows by one element at its end; one that is there isn't turned into another."""
    root, _, rest = path.partition(".")
    value = as_text(value) if type_of(path) == TEXT else value
    if root in MAPS:
        spec.setdefault(root, {})[rest] = value
    elif root in _ARRAYS:
        index, _, leaf = rest.partition(".")
        if int(index) == len(spec.setdefault(root, [])):
            place, _, field = leaf.partition(".")
            spec[root].append({place: {field: value}} if leaf else value)
    elif root == "cluster_log_conf":
        if rest == "type" and value != "NONE":
            spec[root] = {str(value).lower(): {}}
        elif rest != "type" and spec.get(root):
            next(iter(spec[root].values()))[{"path": "destination"}.get(rest, rest)] = value
    else:
        *parents, name = path.split(".")
        for parent in parents:
            spec = spec.setdefault(parent, {})
        spec[name] = value


def remove(spec: dict[str, Any], path: str) -> None:
    """Take an attribute away: an array, a log's place, an image and a scale as a whole, since a part of them says nothing."""
    root, _, rest = path.partition(".")
    if root in MAPS:
        spec.get(root, {}).pop(rest, None)
    elif root in (*_ARRAYS, "cluster_log_conf", "docker_image", "autoscale"):
        spec.pop(root, None)
    else:
        *parents, name = path.split(".")
        part: Any = spec
        for parent in parents:
            part = part.get(parent, {})
        part.pop(name, None)


def _log_attributes(conf: Mapping[str, Any]) -> dict[str, Any]:
    """`cluster_log_conf` as policies see it: type, path and region."""
    return {
        name: value
        for kind, place in conf.items()
        for name, value in (
            ("type", kind.upper()),
            ("path", place.get("destination")),
            ("region", place.get("region")),
        )
    }
