"""A cluster as somebody asks for it: its fields, its size, its machines, and what no cluster may say. Pure: no HTTP, no SQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field

from labs_lib.workspace.compute.catalogue import NODE_TYPES, PHOTON, SPARK_VERSIONS
from labs_lib.workspace.ground.endpoints import Model

Spec = Mapping[str, Any]
Text = Annotated[str, Field(max_length=1_024)]
Texts = Annotated[dict[Text, Text], Field(max_length=100)]
Count = Annotated[int, Field(ge=0, le=100_000)]


class Autoscale(Model):
    min_workers: Count | None = None
    max_workers: Count | None = None


class Destination(Model):
    destination: Text


class InitScript(Model):
    workspace: Destination | None = None
    volumes: Destination | None = None
    s3: Destination | None = None


class AwsAttributes(Model):
    availability: Literal["ON_DEMAND", "SPOT", "SPOT_WITH_FALLBACK"] | None = None
    first_on_demand: Count | None = None
    spot_bid_price_percent: Count | None = None
    zone_id: Text | None = None


class ClusterSpec(Model):
    """The fields of `clusters/create` that say what a cluster is. Everything that a policy may limit is here."""

    apply_policy_default_values: bool | None = None
    autoscale: Autoscale | None = None
    autotermination_minutes: Count | None = None
    aws_attributes: AwsAttributes | None = None
    cluster_name: Annotated[str, Field(max_length=100)] | None = None
    custom_tags: Texts | None = None
    data_security_mode: Text | None = None
    driver_instance_pool_id: Text | None = None
    driver_node_type_id: Text | None = None
    enable_elastic_disk: bool | None = None
    init_scripts: Annotated[list[InitScript], Field(max_length=50)] | None = None
    instance_pool_id: Text | None = None
    is_single_node: bool | None = None
    node_type_id: Text | None = None
    num_workers: Count | None = None
    policy_id: Text | None = None
    runtime_engine: Literal["STANDARD", "PHOTON", "NULL"] | None = None
    single_user_name: Text | None = None
    spark_conf: Texts | None = None
    spark_env_vars: Texts | None = None
    spark_version: Text | None = None

    def spec(self) -> dict[str, Any]:
        """The fields that were given, as plain data."""
        return self.model_dump(exclude_none=True, include=set(ClusterSpec.model_fields))


def workers(spec: Spec) -> tuple[int, int]:
    """The fewest and the most workers."""
    if scale := spec.get("autoscale"):
        return scale.get("min_workers") or 0, scale.get("max_workers") or 0
    return (spec.get("num_workers") or 0,) * 2


def machines(spec: Spec, pools: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The node types of driver and workers, by the pools that they come from; `pools` has each pool's node type.

    The driver comes from the workers' pool or is of their type where the specification doesn't say otherwise.
    """
    pool = spec.get("instance_pool_id")
    worker = pools.get(pool) if pool else spec.get("node_type_id")
    if driver_pool := spec.get("driver_instance_pool_id") or pool:
        return pools.get(driver_pool), worker
    return spec.get("driver_node_type_id") or worker, worker


def single_node(spec: Spec) -> bool:
    """Whether it is declared as a driver without workers."""
    return (
        bool(spec.get("is_single_node"))
        or (spec.get("spark_conf") or {}).get("spark.databricks.cluster.profile") == "singleNode"
    )


def dbus_per_hour(spec: Spec, pools: Mapping[str, str], count: int | None = None) -> Decimal:
    """DBUs of an hour with `count` workers, by default the most that it may have, and the driver."""
    driver, worker = machines(spec, pools)
    count = workers(spec)[1] if count is None else count
    return rate(driver, spec.get("runtime_engine")) + count * rate(worker, spec.get("runtime_engine"))


def rate(node_type: str | None, engine: str | None) -> Decimal:
    """DBUs of an hour of one machine; 0 for one that there isn't."""
    dbus = NODE_TYPES[node_type].dbus if node_type and node_type in NODE_TYPES else Decimal(0)
    return dbus * PHOTON if engine == "PHOTON" else dbus


def problems(spec: Spec, pools: Mapping[str, str]) -> Iterator[str]:
    """What no policy is needed for to refuse: a sentence each."""
    if (version := spec.get("spark_version")) not in SPARK_VERSIONS:
        yield f"Missing or unknown spark_version {version!r}: clusters/spark-versions lists what there is."
    has_size, scale = spec.get("num_workers") is not None, spec.get("autoscale")
    if has_size == (scale is not None) and not (spec.get("is_single_node") and scale is None):
        yield "Exactly one of num_workers or autoscale must be specified."
    if scale is not None:
        low, high = scale.get("min_workers"), scale.get("max_workers")
        if low is None or high is None or low > high or high == 0:
            yield f"autoscale needs min_workers and max_workers, the first at most the second (is {low} and {high})."
    if single_node(spec) and workers(spec)[1]:
        yield f"A single-node cluster has no workers (is up to {workers(spec)[1]})."
    if spec.get("num_workers") == 0 and not single_node(spec):
        yield "num_workers could be 0 only for single-node clusters: set is_single_node or spark_conf spark.databricks.cluster.profile to singleNode."
    pool = spec.get("instance_pool_id")
    for field in ("node_type_id", "driver_node_type_id"):
        if pool and spec.get(field):
            yield f"The field '{field}' cannot be supplied when an instance pool ID is provided."
        elif spec.get(field) and spec[field] not in NODE_TYPES:
            yield f"Node type {spec[field]!r} ({field}) is not supported: clusters/list-node-types lists what there is."
    if not pool and not spec.get("node_type_id"):
        yield "Missing node_type_id or instance_pool_id."
    if spec.get("driver_instance_pool_id") and not pool:
        yield "driver_instance_pool_id needs instance_pool_id beside it."
    for field in ("instance_pool_id", "driver_instance_pool_id"):
        if spec.get(field) and spec[field] not in pools:
            yield f"Instance pool {spec[field]!r} ({field}) does not exist."
    minutes = spec.get("autotermination_minutes")
    if minutes and not 10 <= minutes <= 10_000:
        yield f"autotermination_minutes must be 0 or between 10 and 10000 (is {minutes})."
    for part in spec.get("init_scripts") or []:
        if len(part) != 1:
            yield f"An init script's destination is one, of one kind (is {', '.join(part) or 'none'})."
    if len(spec.get("custom_tags") or {}) > 45:
        yield f"At most 45 custom_tags are allowed ({len(spec['custom_tags'])} given)."
