"""The columns of the system tables, as Databricks publishes them. Imported when a table is written: pyarrow is slow to load."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

_TEXT, _TIME, _DAY, _LONG = pa.string(), pa.timestamp("us", "UTC"), pa.date32(), pa.int64()
_TAGS = pa.map_(_TEXT, _TEXT)
_PLACE = {"account_id": _TEXT, "workspace_id": _TEXT}


def _struct(**fields: pa.DataType) -> pa.DataType:
    return pa.struct(list(fields.items()))


def _names(*names: str) -> dict[str, pa.DataType]:
    return dict.fromkeys(names, _TEXT)


def _schema(*fields: Mapping[str, pa.DataType]) -> pa.Schema:
    return pa.schema([field for each in fields for field in each.items()])


AUDIT = _schema(
    _names("account_id", "workspace_id", "version"),
    {"event_time": _TIME, "event_date": _DAY},
    _names("source_ip_address", "user_agent", "session_id"),
    {"user_identity": _struct(email=_TEXT, subject_name=_TEXT)},
    _names("service_name", "action_name", "request_id"),
    {"request_params": _TAGS, "response": _struct(status_code=pa.int32(), error_message=_TEXT, result=_TEXT)},
    _names("audit_level", "event_id"),
    {"identity_metadata": _struct(run_by=_TEXT, run_as=_TEXT)},
)
_ENTITY = _schema(
    _names("account_id", "metastore_id", "workspace_id", "entity_type", "entity_id", "entity_run_id"),
    _names("source_table_full_name", "source_table_catalog", "source_table_schema", "source_table_name", "source_path", "source_type"),
    _names("target_table_full_name", "target_table_catalog", "target_table_schema", "target_table_name", "target_path", "target_type"),
)  # fmt: skip
_EVENT = _schema(
    _names("created_by"),
    {"event_time": _TIME, "event_date": _DAY},
    _names("record_id", "event_id", "statement_id"),
)
LINEAGE = pa.schema([*_ENTITY, *_EVENT])
USAGE = _schema(
    _names("record_id", "account_id", "workspace_id", "sku_name", "cloud"),
    {"usage_start_time": _TIME, "usage_end_time": _TIME, "usage_date": _DAY, "custom_tags": _TAGS, "usage_unit": _TEXT},
    {"usage_quantity": pa.decimal128(38, 18)},
    {"usage_metadata": _struct(**_names("cluster_id", "instance_pool_id", "node_type", "job_id", "job_run_id", "warehouse_id"))},
    {"identity_metadata": _struct(**_names("run_as", "owned_by", "created_by"))},
    {"record_type": _TEXT, "ingestion_date": _DAY, "billing_origin_product": _TEXT},
    {"product_features": _struct(is_photon=pa.bool_(), is_serverless=pa.bool_(), jobs_tier=_TEXT), "usage_type": _TEXT},
)  # fmt: skip
NODES = _schema(
    _PLACE,
    _names("cluster_id", "instance_id"),
    {
        "start_time": _TIME,
        "end_time": _TIME,
        "driver": pa.bool_(),
        "cpu_user_percent": pa.float64(),
        "node_type": _TEXT,
    },
)
RUNS = _schema(
    _PLACE,
    _names("job_id", "run_id"),
    {"period_start_time": _TIME, "period_end_time": _TIME},
    _names("trigger_type", "run_type", "run_name"),
    {"compute_ids": pa.list_(_TEXT)},
    _names("result_state", "termination_code"),
    {"job_parameters": _TAGS},
)
QUERIES = _schema(
    _PLACE,
    _names("statement_id", "session_id", "execution_status"),
    {"compute": _struct(type=_TEXT, cluster_id=_TEXT, warehouse_id=_TEXT)},
    _names(
        "executed_by_user_id",
        "executed_by",
        "statement_text",
        "statement_type",
        "error_message",
        "client_application",
    ),
    {"total_duration_ms": _LONG, "start_time": _TIME, "end_time": _TIME, "produced_rows": _LONG},
    _names("executed_as_user_id", "executed_as"),
)
