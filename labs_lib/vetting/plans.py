"""Plans out of a sandbox: a learner's DataFrame as a Spark Connect message, checked before a trusted server
analyses it.

A message is walked by its descriptors against the relations and expressions allowed here (Spark Connect's
Relation, Expression, Command), so that a kind that a later Spark adds is refused until someone has looked at
it. Text that Spark will parse (queries, expression strings, types, schemas) is sql.py's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import pyarrow as pa
from google.protobuf.message import DecodeError, Message
from pyspark.sql.connect.proto import base_pb2, relations_pb2

from labs_lib.vetting.sql import (
    OPERATORS,
    READ_OPTIONS,
    READING,
    check_expression,
    check_function,
    check_query,
    check_table_name,
    check_tokens,
    name_parts,
    tokens_of,
    words_of,
)
from labs_lib.vetting.text import Rejected, parse_json, shown

MAX_PLAN_BYTES = 8 << 20  # Spark sends larger local data by another way, which is refused
MAX_MESSAGES = 100_000
MAX_SCHEMA_BYTES = 1 << 20
MAX_SCHEMA_DEPTH = 100
# protobuf's own limit of 100 nested messages holds for Python clients too, so no honest plan is deeper.

# What the judge's server should be started with: the doors that these checks close stay closed if they are
# fooled.
TRUSTED_SERVER_CONF: dict[str, str] = {
    "spark.sql.runSQLOnFiles": "false",
    "spark.sql.variable.substitute": "false",
}


RELATIONS = words_of(
    """
    read project filter join set_op sort limit aggregate sql local_relation sample offset deduplicate range
    subquery_alias repartition to_df with_columns_renamed drop with_columns hint unpivot to_schema
    repartition_by_expression collect_metrics parse with_watermark as_of_join with_relations transpose
    unresolved_table_valued_function lateral_join relation_changes nearest_by_join fill_na drop_na replace
    summary crosstab describe freq_items sample_by
    """
)
EXPRESSIONS = words_of(
    """
    literal unresolved_attribute unresolved_function expression_string unresolved_star alias cast
    unresolved_regex sort_order lambda_function window unresolved_extract_value update_fields
    unresolved_named_lambda_variable call_function named_argument_expression subquery_expression
    direct_shuffle_partition_id
    """
)
# Why a kind is refused, where the name alone says too little to a reader of the report.
REASONS = {
    "cached_local_relation": "data too large to travel inside the plan",
    "chunked_cached_local_relation": "data too large to travel inside the plan",
    "cached_remote_relation": "a result kept on the learner's own server",
    "common_inline_user_defined_function": "a user-defined function, which is code",
    "common_inline_user_defined_table_function": "a user-defined table function, which is code",
    "common_inline_user_defined_data_source": "a data source of its own, which is code",
    "typed_aggregate_expression": "a user-defined aggregate, which is code",
    "map_partitions": "a function over rows (mapInPandas, mapInArrow), which is code",
    "group_map": "a function over groups (applyInPandas), which is code",
    "co_group_map": "a function over groups (applyInPandas), which is code",
    "apply_in_pandas_with_state": "a stateful function, which is code",
    "extension": "a server extension",
}

# Column and table metadata whose text Spark or Delta evaluates (Delta protocol: Default Columns, Generated
# Columns, Column Invariants).
EXPRESSION_METADATA = frozenset(["CURRENT_DEFAULT", "EXISTS_DEFAULT", "delta.generationExpression"])
INVARIANTS = "delta.invariants"

# Settings


_PLAIN = re.compile(
    r"true|false|auto|legacy|-?\d{1,15}(\.\d{1,9})?([kmgtp]?i?b?|ms|s|min|h|d)", re.IGNORECASE
)
_COUNT = re.compile(r"[1-9]\d{0,3}")
_TIME_ZONE = re.compile(
    r"[A-Za-z][A-Za-z0-9_+\-]{0,30}(/[A-Za-z0-9_+\-]{1,30}){0,2}|[+-]\d{1,2}(:\d{2}){0,2}"
)

# Runtime settings that change how a plan is made, with what their values may look like. A pattern's values
# are switches, numbers and sizes, so a setting that names a class (adaptive.customCostEvaluatorClass) matches
# no value.
SETTINGS: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = tuple(
    (re.compile(name), values)
    for name, values in (
        (r"spark\.sql\.shuffle\.partitions", _COUNT),
        (r"spark\.sql\.adaptive\.coalescePartitions\.(initialPartitionNum|minPartitionNum)", _COUNT),
        (r"spark\.sql\.session\.timeZone", _TIME_ZONE),
        (r"spark\.sql\.sources\.partitionOverwriteMode", re.compile(r"static|dynamic", re.IGNORECASE)),
        (r"spark\.sql\.adaptive\.[A-Za-z.]{1,80}", _PLAIN),
        (r"spark\.sql\.cbo\.[A-Za-z.]{1,80}", _PLAIN),
        (r"spark\.sql\.optimizer\.(dynamicPartitionPruning|runtime|runtimeFilter)\.[A-Za-z.]{1,80}", _PLAIN),
        (r"spark\.sql\.autoBroadcastJoinThreshold|spark\.sql\.broadcastTimeout", _PLAIN),
        (r"spark\.sql\.join\.preferSortMergeJoin", _PLAIN),
        (r"spark\.sql\.files\.(maxPartitionBytes|openCostInBytes|minPartitionNum|maxPartitionNum)", _PLAIN),
        (r"spark\.sql\.files\.maxRecordsPerFile", _PLAIN),
        (r"spark\.sql\.(sources\.)?bucketing\.[A-Za-z.]{1,80}", _PLAIN),
        (r"spark\.sql\.parquet\.(filterPushdown|aggregatePushdown|enableVectorizedReader)", _PLAIN),
        (r"spark\.sql\.(exchange\.reuse|codegen\.wholeStage|crossJoin\.enabled|caseSensitive)", _PLAIN),
        (r"spark\.sql\.(ansi\.enabled|statistics\.[A-Za-z.]{1,80})", _PLAIN),
        (r"spark\.sql\.inMemoryColumnarStorage\.[A-Za-z.]{1,80}", _PLAIN),
        (r"spark\.databricks\.delta\.(optimizeWrite|autoCompact|optimize|stats)\.[A-Za-z.]{1,80}", _PLAIN),
        (r"spark\.databricks\.delta\.properties\.defaults\.autoOptimize\.[A-Za-z.]{1,40}", _PLAIN),
        (
            r"spark\.databricks\.delta\.(schema\.autoMerge|retentionDurationCheck|merge\.[A-Za-z]+)\.enabled",
            _PLAIN,
        ),
    )
)


def check_conf(name: str, value: str) -> None:
    """Whether a learner's Spark setting may be set on the trusted server too. Raises Rejected if not."""
    for names, values in SETTINGS:
        if names.fullmatch(name):
            if values.fullmatch(value):
                return
            raise Rejected(f"The setting {name!r} has a value that is not taken over: {shown(value, 40)!r}.")
    raise Rejected(f"The setting {shown(name, 80)!r} is not one that the judge takes over.")


# Messages


def check_plan(data: bytes) -> relations_pb2.Relation:
    """The relation of a serialised spark.connect.Plan. Raises Rejected if it holds anything but allowed kinds
    and names.

    Use what is returned, not `data`: what was checked is the message as it was parsed.
    """
    plan = base_pb2.Plan()
    parse_message(plan, data)
    if plan.WhichOneof("op_type") != "root":
        raise Rejected(
            f"The plan holds {plan.WhichOneof('op_type') or 'nothing'} where a relation is expected."
        )
    check_relation(plan.root)
    return plan.root


def parse_message(message: Message, data: bytes) -> None:
    name = message.DESCRIPTOR.name.lower()
    if len(data) > MAX_PLAN_BYTES:
        raise Rejected(f"The {name} is larger than {MAX_PLAN_BYTES:,} bytes.")
    try:
        message.ParseFromString(data)
    except (DecodeError, RecursionError) as error:
        raise Rejected(
            f"The {name} can't be read as spark.connect.{message.DESCRIPTOR.name}: {str(error)[:120]}."
        ) from None
    size = message.ByteSize()
    message.DiscardUnknownFields()  # type: ignore[attr-defined]
    if message.ByteSize() != size:
        raise Rejected(f"The {name} holds fields that this version of Spark does not have.")


def check_relation(root: Message) -> None:
    """Check a message and every message in it. A loop, since depth is the sender's choice."""
    pending: list[Message] = [root]
    count = 0
    while pending:
        message = pending.pop()
        count += 1
        if count > MAX_MESSAGES:
            raise Rejected(f"The plan is made of more than {MAX_MESSAGES:,} messages.")
        name = message.DESCRIPTOR.full_name
        if check := _MESSAGE_CHECKS.get(name):
            check(message)
        for field, value in message.ListFields():
            if field.message_type is not None and field.message_type.GetOptions().map_entry:
                pending.extend(item for item in value.values() if isinstance(item, Message))
                _check_strings(text for text in [*value.keys(), *value.values()] if isinstance(text, str))
            elif field.message_type is not None:
                pending.extend(value if field.is_repeated else [value])
            elif field.type == field.TYPE_STRING and name != "spark.connect.Expression.Literal":
                _check_strings(value if field.is_repeated else [value])


def _check_strings(texts: Iterable[str]) -> None:
    for text in texts:
        if "${" in text:  # Spark puts settings, JVM properties and environment variables in its place
            raise Rejected(f"The plan holds {shown(text, 60)!r}: substitution with ${{...}} is not allowed.")


def _check_kind(message: Any) -> None:
    group, allowed, what = {
        "Relation": ("rel_type", RELATIONS, "relation"),
        "Expression": ("expr_type", EXPRESSIONS, "expression"),
    }[message.DESCRIPTOR.name]
    kind = message.WhichOneof(group)
    if kind is None:
        raise Rejected(f"The plan holds an empty {what}.")
    if kind not in allowed:
        reason = REASONS.get(kind, "a kind that an answer never needs")
        raise Rejected(f"The plan holds the {what} {kind}: {reason}.")


def _check_read(message: Any) -> None:
    if message.WhichOneof("read_type") != "named_table":
        raise Rejected(
            "The plan reads files or another data source directly; only tables by name may be read."
        )
    if message.is_streaming:
        raise Rejected("The plan reads a stream.")


def _check_named_table(message: Any) -> None:
    if getattr(message, "is_streaming", False):
        raise Rejected("The plan reads a stream.")
    check_table_name(name_parts(message.unparsed_identifier, "The plan"), "The plan")
    for key in message.options:
        if key.lower() not in READ_OPTIONS:
            raise Rejected(
                f"The plan reads a table with the option {shown(key, 40)!r}, which is not allowed."
            )


def _check_function_message(message: Any) -> None:
    if getattr(message, "is_user_defined_function", False):
        raise Rejected(f"The plan calls {shown(message.function_name, 60)!r} as a user-defined function.")
    if message.function_name not in OPERATORS:
        check_function(name_parts(message.function_name, "The plan"), "The plan")


def _check_attribute(message: Any) -> None:
    if noted := READING.get():
        noted.words.add(message.unparsed_identifier.lower())


def _check_sql(message: Any) -> None:
    check_query(message.query)


def _check_expression_string(message: Any) -> None:
    check_expression(message.expression)


def _check_local(message: Any) -> None:
    if message.HasField("schema"):
        check_schema(message.schema, "The schema of the plan's local data")
    if message.data:
        try:
            with pa.ipc.open_stream(message.data) as stream:
                columns = len(stream.schema)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise Rejected(
                f"The plan's local data can't be read as an Arrow stream: {str(error)[:100]}."
            ) from None
        if columns > 10_000:
            raise Rejected("The plan's local data has more than 10,000 columns.")


def _check_data_type(message: Any) -> None:
    if message.WhichOneof("kind") == "udt":
        raise Rejected("The plan holds a user-defined type, which names a class to load.")


def _check_type_text(message: Any) -> None:
    field = "type_str" if message.DESCRIPTOR.name == "Cast" else "data_type_string"
    if text := getattr(message, field):
        check_schema(text, "A type in the plan")


def _check_field_metadata(message: Any) -> None:
    if message.metadata:
        value = parse_json(
            message.metadata.encode("utf-8", "replace"), MAX_SCHEMA_DEPTH, "The metadata of a column"
        )
        if isinstance(value, dict):
            check_metadata(value, "The metadata of a column")


def _check_hint(message: Any) -> None:
    if not re.fullmatch(r"[A-Za-z_]\w{0,63}", message.name, re.ASCII):
        raise Rejected(f"The plan holds a hint named {shown(message.name, 60)!r}.")


def _refuse_any(message: Any) -> NoReturn:
    raise Rejected(f"The plan holds {message.DESCRIPTOR.full_name}: {REASONS['extension']}.")


_MESSAGE_CHECKS: dict[str, Callable[[Any], None]] = {
    "google.protobuf.Any": _refuse_any,
    "spark.connect.Relation": _check_kind,
    "spark.connect.Expression": _check_kind,
    "spark.connect.Read": _check_read,
    "spark.connect.Read.NamedTable": _check_named_table,
    "spark.connect.RelationChanges": _check_named_table,
    "spark.connect.SQL": _check_sql,
    "spark.connect.LocalRelation": _check_local,
    "spark.connect.Hint": _check_hint,
    "spark.connect.Expression.UnresolvedAttribute": _check_attribute,
    "spark.connect.Expression.ExpressionString": _check_expression_string,
    "spark.connect.Expression.UnresolvedFunction": _check_function_message,
    "spark.connect.CallFunction": _check_function_message,
    "spark.connect.UnresolvedTableValuedFunction": _check_function_message,
    "spark.connect.Expression.Cast": _check_type_text,
    "spark.connect.Expression.Alias": _check_field_metadata,
    "spark.connect.DataType": _check_data_type,
    "spark.connect.DataType.Unparsed": _check_type_text,
    "spark.connect.DataType.StructField": _check_field_metadata,
}


# Schemas


def check_schema(text: str, where: str) -> None:
    """Check a schema or type, as DDL or Spark's JSON.

    Raises Rejected for user-defined types and refused names.
    """
    if len(text) > MAX_SCHEMA_BYTES:
        raise Rejected(f"{where} is longer than {MAX_SCHEMA_BYTES:,} characters.")
    if not text.lstrip().startswith(("{", '"', "[")):
        check_tokens(tokens_of(text, where)[0], where)
        return
    pending = [parse_json(text.encode("utf-8", "replace"), MAX_SCHEMA_DEPTH, where)]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending.extend(value)
        elif isinstance(value, dict):
            if str(value.get("type")).lower() == "udt":
                raise Rejected(f"{where} holds a user-defined type, which names a class to load.")
            if isinstance(metadata := value.get("metadata"), dict):
                check_metadata(metadata, where)
            pending.extend(value.values())


def check_metadata(metadata: dict[str, Any], where: str) -> None:
    """Check the expressions in a column's metadata: defaults, generation expressions, invariants.

    Raises Rejected.
    """
    for key in EXPRESSION_METADATA & metadata.keys():
        if isinstance(metadata[key], str):
            check_expression(metadata[key])
    if isinstance(text := metadata.get(INVARIANTS), str):
        invariant = parse_json(text.encode("utf-8", "replace"), MAX_SCHEMA_DEPTH, where)
        expression = invariant.get("expression") if isinstance(invariant, dict) else None
        if isinstance(expression, dict) and isinstance(expression.get("expression"), str):
            check_expression(expression["expression"])
