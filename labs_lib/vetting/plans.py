"""Plans out of a sandbox: a learner's DataFrame as a Spark Connect message, checked before a trusted server
analyses it.

A message is walked by its descriptors against the relations and expressions allowed here (Spark Connect's
Relation, Expression, Command), so that a kind that a later Spark adds is refused until someone has looked at
it. Text that Spark will parse (queries, expression strings, types, schemas) is split into tokens by the rules
of Spark's SqlBaseLexer.g4. What could make Spark and this module read a text differently is refused: `${...}`
substitution, comments in comments or continued by a backslash, dollar quotes, letters outside ASCII in
unquoted words. Then names are checked on tokens, and once more on sqlglot's tree where sqlglot understands
the query.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

import pyarrow as pa
import sqlglot
from google.protobuf.message import DecodeError, Message
from pyspark.sql.connect.proto import base_pb2, commands_pb2, relations_pb2
from sqlglot import expressions as tree
from sqlglot.errors import SqlglotError

from labs_lib.vetting.text import Rejected, parse_json, shown

MAX_PLAN_BYTES = 8 << 20  # Spark sends larger local data by another way, which is refused
MAX_MESSAGES = 100_000
MAX_SQL = 256 << 10  # characters of one text
MAX_TOKENS = 50_000
MAX_TREE_TOKENS = 5_000  # above this sqlglot's second opinion takes too long
MAX_PARENTHESES = 100
MAX_TREE_PARENTHESES = 40
MAX_NAME = 128
MAX_SCHEMA_BYTES = 1 << 20
MAX_SCHEMA_DEPTH = 100
# protobuf's own limit of 100 nested messages holds for Python clients too, so no honest plan is deeper.

# What the judge's server should be started with: the doors that these checks close stay closed if they are
# fooled.
TRUSTED_SERVER_CONF: dict[str, str] = {
    "spark.sql.runSQLOnFiles": "false",
    "spark.sql.variable.substitute": "false",
}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


RELATIONS = _words(
    """
    read project filter join set_op sort limit aggregate sql local_relation sample offset deduplicate range
    subquery_alias repartition to_df with_columns_renamed drop with_columns hint unpivot to_schema
    repartition_by_expression collect_metrics parse with_watermark as_of_join with_relations transpose
    unresolved_table_valued_function lateral_join relation_changes nearest_by_join fill_na drop_na replace
    summary crosstab describe freq_items sample_by
    """
)
EXPRESSIONS = _words(
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

# `SHOW SYSTEM FUNCTIONS` of Spark 4.2.0, without its operators and without REFUSED_FUNCTIONS.
FUNCTIONS = _words(
    """
    abs acos acosh add_months aes_decrypt aes_encrypt aggregate and any any_value approx_count_distinct
    approx_percentile approx_top_k approx_top_k_accumulate approx_top_k_combine approx_top_k_estimate
    array array_agg array_append array_compact array_contains array_distinct array_except array_insert
    array_intersect array_join array_max array_min array_position array_prepend array_remove
    array_repeat array_size array_sort array_union arrays_overlap arrays_zip ascii asin asinh
    assert_true atan atan2 atanh avg base64 between bigint bin binary bit_and bit_count bit_get
    bit_length bit_or bit_xor bitmap_and_agg bitmap_bit_position bitmap_bucket_number
    bitmap_construct_agg bitmap_count bitmap_or_agg bool_and bool_or boolean bround btrim cardinality
    case cast cbrt ceil ceiling char char_length character_length chr coalesce collate collation
    collations collect_list collect_set concat concat_ws contains conv convert_timezone corr cos cosh
    cot count count_if count_min_sketch covar_pop covar_samp crc32 csc cume_dist curdate current_catalog
    current_database current_date current_path current_schema current_time current_timestamp
    current_timezone current_user date date_add date_diff date_format date_from_unix_date date_part
    date_sub date_trunc dateadd datediff datepart day dayname dayofmonth dayofweek dayofyear decimal
    decode degrees dense_rank div double e element_at elt encode endswith equal_null every exists exp
    explode explode_outer expm1 extract factorial filter find_in_set first first_value flatten float
    floor forall format_number format_string from_csv from_json from_unixtime from_utc_timestamp get
    get_json_object getbit greatest grouping grouping_id hash hex histogram_numeric hll_sketch_agg
    hll_sketch_estimate hll_union hll_union_agg hour hypot if ifnull ilike in initcap inline
    inline_outer input_file_block_length input_file_block_start input_file_name instr int is_valid_utf8
    is_valid_variant is_variant_null isnan isnotnull isnull json_array_length json_object_keys
    json_tuple kll_merge_agg_bigint kll_merge_agg_double kll_merge_agg_float kll_sketch_agg_bigint
    kll_sketch_agg_double kll_sketch_agg_float kll_sketch_get_n_bigint kll_sketch_get_n_double
    kll_sketch_get_n_float kll_sketch_get_quantile_bigint kll_sketch_get_quantile_double
    kll_sketch_get_quantile_float kll_sketch_get_rank_bigint kll_sketch_get_rank_double
    kll_sketch_get_rank_float kll_sketch_merge_bigint kll_sketch_merge_double kll_sketch_merge_float
    kll_sketch_to_string_bigint kll_sketch_to_string_double kll_sketch_to_string_float kurtosis lag last
    last_day last_value lcase lead least left len length levenshtein like listagg ln localtimestamp
    locate log log10 log1p log2 lower lpad ltrim luhn_check make_date make_dt_interval make_interval
    make_time make_timestamp make_timestamp_ltz make_timestamp_ntz make_valid_utf8 make_ym_interval map
    map_concat map_contains_key map_entries map_filter map_from_arrays map_from_entries map_keys
    map_values map_zip_with mask max max_by md5 mean measure median min min_by minute mod mode
    monotonically_increasing_id month monthname months_between named_struct nanvl negative next_day not
    now nth_value ntile nullif nullifzero nvl nvl2 octet_length or overlay parse_json parse_url
    percent_rank percentile percentile_approx percentile_cont percentile_disc pi pmod posexplode
    posexplode_outer position positive pow power printf quarter quote radians raise_error rand randn
    random randstr range rank reduce regexp regexp_count regexp_extract regexp_extract_all regexp_instr
    regexp_like regexp_replace regexp_substr regr_avgx regr_avgy regr_count regr_intercept regr_r2
    regr_slope regr_sxx regr_sxy regr_syy repeat replace reverse right rint rlike round row_number rpad
    rtrim schema_of_csv schema_of_json schema_of_variant schema_of_variant_agg sec second sentences
    sequence session_user session_window sha sha1 sha2 shiftleft shiftright shiftrightunsigned shuffle
    sign signum sin sinh size skewness slice smallint some sort_array soundex space spark_partition_id
    split split_part sql_keywords sqrt st_asbinary st_geogfromwkb st_geomfromwkb st_setsrid st_srid
    stack startswith std stddev stddev_pop stddev_samp str_to_map string string_agg struct substr
    substring substring_index sum tan tanh theta_difference theta_intersection theta_intersection_agg
    theta_sketch_agg theta_sketch_estimate theta_union theta_union_agg time time_bucket time_diff
    time_from_micros time_from_millis time_from_seconds time_to_micros time_to_millis time_to_seconds
    time_trunc timestamp timestamp_micros timestamp_millis timestamp_seconds tinyint to_binary to_char
    to_csv to_date to_json to_number to_time to_timestamp to_timestamp_ltz to_timestamp_ntz
    to_unix_timestamp to_utc_timestamp to_varchar to_variant_object to_xml transform transform_keys
    transform_values translate trim trunc try_add try_aes_decrypt try_avg try_divide try_element_at
    try_make_interval try_make_timestamp try_make_timestamp_ltz try_make_timestamp_ntz try_mod
    try_multiply try_parse_json try_parse_url try_subtract try_sum try_to_binary try_to_date
    try_to_number try_to_time try_to_timestamp try_url_decode try_validate_utf8 try_variant_get
    tuple_difference_double tuple_difference_integer tuple_difference_theta_double
    tuple_difference_theta_integer tuple_intersection_agg_double tuple_intersection_agg_integer
    tuple_intersection_double tuple_intersection_integer tuple_intersection_theta_double
    tuple_intersection_theta_integer tuple_sketch_agg_double tuple_sketch_agg_integer
    tuple_sketch_estimate_double tuple_sketch_estimate_integer tuple_sketch_summary_double
    tuple_sketch_summary_integer tuple_sketch_theta_double tuple_sketch_theta_integer
    tuple_union_agg_double tuple_union_agg_integer tuple_union_double tuple_union_integer
    tuple_union_theta_double tuple_union_theta_integer typeof ucase unbase64 unhex uniform unix_date
    unix_micros unix_millis unix_seconds unix_timestamp upper url_decode url_encode user uuid
    validate_utf8 var_pop var_samp variance variant_explode variant_explode_outer variant_get vector_avg
    vector_cosine_similarity vector_inner_product vector_l2_distance vector_norm vector_normalize
    vector_sum version weekday weekofyear when width_bucket window window_time xxhash64 year zeroifnull
    zip_with
    """
)
# Names that the Python client sends and that are listed nowhere.
CLIENT_FUNCTIONS = _words("product timestampadd timestampdiff distributed_sequence_id")
OPERATORS = _words("! != % & * + - / < << <= <=> <> = == > >= >> >>> ^ | || ~")
REFUSED_FUNCTIONS = {
    **dict.fromkeys(["reflect", "try_reflect", "java_method"], "calls any Java method"),
    **dict.fromkeys(["from_protobuf", "to_protobuf"], "reads a descriptor file"),
    **dict.fromkeys(["from_avro", "to_avro", "schema_of_avro"], "can read a schema from a file"),
    **dict.fromkeys(["from_xml", "schema_of_xml"], "can read a schema from a file"),
    **dict.fromkeys(
        _words(
            """
            xpath xpath_boolean xpath_double xpath_float xpath_int xpath_long xpath_number xpath_short
            xpath_string
            """
        ),
        "reads XML, which can name other files",
    ),
    "python_worker_logs": "reads logs of the server",
    "table_changes_by_path": "reads a table by its path",
    "read_files": "reads files",
    "identifier": "makes a name from text",
    "stream": "reads a stream",
}
# Words of Spark's grammar that may stand before a parenthesis without calling a function (SqlBaseParser.g4).
SYNTAX = _words(
    """
    aggregate all and any apply array as bernoulli between bigint by case char character cluster cross cube
    date dec decimal default distinct distribute else end escape except exclude exists extend extract filter
    first float for from full group grouping having ilike in include inner intersect interval into is join
    last lateral left like limit map match minus natural nearest not null nulls numeric of offset on or order
    outer over overlay partition percent pivot position qualify range recursive regexp respect rlike rollup
    row rows select semi sets some sort struct substr substring system tablesample table then time timestamp
    timestamp_ltz timestamp_ntz timestampadd timestampdiff timediff trim try_cast union unpivot using values
    varchar view when where window with within within_group anti ignore
    """
)
# Data sources that Spark would take for the first part of `source`.`path` (RunSQLonFile,
# DeltaTableIdentifier).
SOURCES = _words(
    """
    avro binaryfile console csv delta deltasharing foreachbatch hive hudi iceberg image jdbc json kafka
    kinesis libsvm memory noop orc paimon parquet protobuf rate ratepermicrobatch socket state-metadata
    statestore text txt xml
    """
)
READ_OPTIONS = _words(
    """
    versionasof timestampasof readchangefeed readchangedata startingversion endingversion startingtimestamp
    endingtimestamp mergeschema
    """
)
# Column and table metadata whose text Spark or Delta evaluates (Delta protocol: Default Columns, Generated
# Columns, Column Invariants).
EXPRESSION_METADATA = frozenset(["CURRENT_DEFAULT", "EXISTS_DEFAULT", "delta.generationExpression"])
INVARIANTS = "delta.invariants"

_STATEMENT_STARTS = _words("select with values from table")


# sqlglot warns of statements that it only half knows; they are judged all the same.
logging.getLogger("sqlglot").addHandler(logging.NullHandler())


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
    _parse(plan, data)
    if plan.WhichOneof("op_type") != "root":
        raise Rejected(
            f"The plan holds {plan.WhichOneof('op_type') or 'nothing'} where a relation is expected."
        )
    _walk(plan.root)
    return plan.root


def check_command(data: bytes) -> commands_pb2.Command:
    """The command of a serialised spark.connect.Command that makes a temporary view. Raises Rejected for any
    other.

    Allowed are create_dataframe_view, and sql_command with CREATE [OR REPLACE] TEMPORARY VIEW ... AS query.
    """
    command = commands_pb2.Command()
    _parse(command, data)
    kind = command.WhichOneof("command_type")
    if kind == "create_dataframe_view":
        view = command.create_dataframe_view
        if view.is_global:
            raise Rejected("The command makes a global view; only temporary views are replayed.")
        _check_view_name(_name_parts(view.name, "The name of the view"), "The name of the view")
        _walk(view.input)
        return command
    if kind == "sql_command":
        _check_sql_command(command.sql_command)
        return command
    raise Rejected(f"The command is {kind or 'empty'}; only those that make temporary views are replayed.")


def _check_sql_command(command: commands_pb2.SqlCommand) -> None:
    if any(field.name != "input" for field, _ in command.ListFields()):
        raise Rejected("The SQL command comes in the form of an older Spark, which is not replayed.")
    # A copy, in which the statement is put aside for its own rule and the rest is walked like any relation.
    relation = relations_pb2.Relation()
    relation.CopyFrom(command.input)
    holder = relation.with_relations.root if relation.WhichOneof("rel_type") == "with_relations" else relation
    if holder.WhichOneof("rel_type") != "sql":
        raise Rejected("The SQL command holds no SQL.")
    _check_create_view(holder.sql.query)
    holder.sql.query = "SELECT 1"
    _walk(relation)


def _parse(message: Message, data: bytes) -> None:
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


def _walk(root: Message) -> None:
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
    _check_table(_name_parts(message.unparsed_identifier, "The plan"), "The plan")
    for key in message.options:
        if key.lower() not in READ_OPTIONS:
            raise Rejected(
                f"The plan reads a table with the option {shown(key, 40)!r}, which is not allowed."
            )


def _check_function_message(message: Any) -> None:
    if getattr(message, "is_user_defined_function", False):
        raise Rejected(f"The plan calls {shown(message.function_name, 60)!r} as a user-defined function.")
    if message.function_name not in OPERATORS:
        _check_function(_name_parts(message.function_name, "The plan"), "The plan")


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
        _check_tokens(_tokens(text, where)[0], where)
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


# SQL text


@dataclass(frozen=True)
class Token:
    """A token of Spark SQL.

    `text` is a word as written, a quoted name without its quotes, a literal or a symbol.
    """

    kind: Literal["word", "quoted", "string", "symbol"]
    text: str

    def among(self, *choices: str) -> bool:
        """Whether this is one of those unquoted words (in lower case) or symbols."""
        return self.kind in ("word", "symbol") and self.text.lower() in choices


# SqlBaseLexer.g4: WS, SIMPLE_COMMENT, HENT_START, BRACKETED_COMMENT, HENT_END, STRING_LITERAL,
# DOUBLEQUOTED_STRING, BACKQUOTED_IDENTIFIER, IDENTIFIER; numbers come out as words. `''` inside a string
# splits it without moving its ends.
_LEXER = re.compile(
    r"""
    (?P<space>[ \t\n\f\r\x0b\xa0\u1680\u2000-\u200a\u2028\u202f\u205f\u3000]++)
    |(?P<line>--[^\r\n]*+)
    |(?P<hint>/\*\+)
    |(?P<comment>/\*)
    |(?P<hint_end>\*/)
    |(?P<raw>[rR](?:'[^']*+'|"[^"]*+"))
    |(?P<string>'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+")
    |(?P<quoted>`(?:[^`]|``)*+`)
    |(?P<word>[A-Za-z0-9_]++)
    |(?P<symbol>[()\[\]{},.;:?+\-*/%&|^~!<>=])
    """,
    re.VERBOSE | re.DOTALL,
)
_HARMLESS_STRING = re.compile(r"[\w .:%+-]*", re.ASCII)


def check_query(text: str) -> None:
    """Check a SQL text that may only be a query. Raises Rejected for other statements and refused names."""
    where = _where("The SQL", text)
    tokens, plain = _tokens(text, where)
    _check_query_tokens(tokens, where)
    _second_opinion(plain, tokens, where)


def check_expression(text: str) -> None:
    """Check a SQL expression, subqueries in it included. Raises Rejected for refused names and constructs."""
    where = _where("The expression", text)
    tokens, plain = _tokens(text, where)
    _check_tokens(tokens, where)
    _second_opinion(f"SELECT {plain}", tokens, where)


def _check_create_view(text: str) -> None:
    where = _where("The SQL", text)
    tokens, plain = _tokens(text, where)
    at = _skip(tokens, 0, "create")
    at = _skip(tokens, at, "or", "replace") if at < len(tokens) and tokens[at].among("or") else at
    if at >= len(tokens) or not tokens[0].among("create") or not tokens[at].among("temp", "temporary"):
        raise Rejected(f"{where} does not make a temporary view, and nothing else is replayed.")
    at = _skip(tokens, at + 1, "view")
    at = _skip(tokens, at, "if", "not", "exists") if at < len(tokens) and tokens[at].among("if") else at
    parts, at = _chain(tokens, at)
    _check_view_name(parts, where)
    if at < len(tokens) and tokens[at].among("("):
        at = _closing(tokens, at, where) + 1
    if at + 1 < len(tokens) and tokens[at].among("comment"):
        at += 2
    if at >= len(tokens) or not tokens[at].among("as"):
        raise Rejected(f"{where} does not make a temporary view of a query.")
    _check_query_tokens(tokens[at + 1 :], where)
    _second_opinion(plain, tokens, where, creates_view=True)


def _skip(tokens: Sequence[Token], at: int, *words: str) -> int:
    """The place after those words if they stand there, else a place past the end, which fits no rule."""
    here = tokens[at : at + len(words)]
    fits = len(here) == len(words) and all(token.among(word) for token, word in zip(here, words, strict=True))
    return at + len(words) if fits else len(tokens)


def _check_view_name(parts: Sequence[str], where: str) -> None:
    if len(parts) != 1:
        raise Rejected(f"{where} is no plain name of a temporary view.")
    _check_table(parts, where)


def _where(what: str, text: str) -> str:
    return f"{what} {shown(' '.join(text[:200].split()), 60)!r}"


def _tokens(text: str, where: str) -> tuple[list[Token], str]:
    """The tokens of a text, and the text without comments and with harmless strings, for sqlglot.

    Raises Rejected for what Spark may read in another way than this lexer.
    """
    if len(text) > MAX_SQL:
        raise Rejected(f"{where} is longer than {MAX_SQL:,} characters.")
    if "${" in text:
        raise Rejected(f"{where} uses substitution with ${{...}}, which is not allowed.")
    tokens: list[Token] = []
    plain: list[str] = []
    at = 0
    while at < len(text):
        match = _LEXER.match(text, at)
        if match is None:
            raise Rejected(f"{where} has a character that Spark SQL does not use there: {shown(text[at])!r}.")
        kind, found, at = match.lastgroup, match[0], match.end()
        if kind == "comment":
            end = text.find("*/", at)
            if end < 0 or "/*" in text[at:end]:
                raise Rejected(f"{where} has a comment that is not closed, or one inside another.")
            at, found = end + 2, " "
        elif kind == "line":
            if found.endswith("\\"):
                raise Rejected(f"{where} has a comment that a backslash continues on the next line.")
            found = " "
        elif kind in ("string", "raw"):
            tokens.append(Token("string", found))
            content = found[2:-1] if kind == "raw" else found[1:-1]
            found = f"'{content if _HARMLESS_STRING.fullmatch(content) else 's'}'"
        elif kind == "quoted":
            tokens.append(Token("quoted", found[1:-1].replace("``", "`")))
        elif kind == "word":
            if text.startswith("://", at):
                raise Rejected(f"{where} has an address as a name.")
            tokens.append(Token("word", found))
        elif kind != "space":
            tokens.append(Token("symbol", found))
        plain.append(found)
        if len(tokens) > MAX_TOKENS:
            raise Rejected(f"{where} has more than {MAX_TOKENS:,} tokens.")
    return tokens, "".join(plain)


def _check_query_tokens(tokens: Sequence[Token], where: str) -> None:
    while tokens and tokens[-1].among(";"):
        tokens = tokens[:-1]
    start = 0
    if tokens and tokens[0].among("with"):
        start = _after_ctes(tokens, where)
    if start >= len(tokens) or not tokens[start].among("(", *_STATEMENT_STARTS):
        raise Rejected(f"{where} is not a query.")
    _check_tokens(tokens, where)


def _after_ctes(tokens: Sequence[Token], where: str) -> int:
    """The place behind WITH and its named queries.

    A query has to stand there; INSERT, UPDATE and others could.
    """
    at = 2 if len(tokens) > 2 and tokens[1].among("recursive") and not tokens[2].among("as", "(") else 1

    def stands(*words: str) -> bool:
        return at < len(tokens) and tokens[at].among(*words)

    while at < len(tokens):
        at += 1
        if stands("("):
            at = _closing(tokens, at, where) + 1
            named_query = not stands("as", "max", "(")  # else it was a list of columns
        else:
            named_query = False
        if not named_query:
            at += 4 if stands("max") else 0  # MAX RECURSION LEVEL n
            at += 1 if stands("as") else 0
            if not stands("("):
                return len(tokens)
            at = _closing(tokens, at, where) + 1
        if not stands(","):
            return at
        at += 1
    return at


def _closing(tokens: Sequence[Token], at: int, where: str) -> int:
    depth = 0
    for index in range(at, len(tokens)):
        depth += tokens[index].among("(") - tokens[index].among(")")
        if depth == 0 and index >= at and tokens[index].among(")"):
            return index
    raise Rejected(f"{where} has parentheses that do not match.")


@dataclass
class _Level:
    """A level of parentheses: whether it is in a FROM, whether a table may come next, where it is.

    `table_end` is the place behind the last table's name.
    """

    in_from: bool = False
    expects_table: bool = False
    table_end: int = -1
    in_hint: bool = False
    of_text_function: bool = False


def _check_tokens(tokens: Sequence[Token], where: str) -> None:
    """Check names by where they stand: before a parenthesis, where a table may stand, or elsewhere."""
    levels = [_Level()]
    at = 0
    while at < len(tokens):
        token, level = tokens[at], levels[-1]
        if token.kind == "string":
            level.expects_table = False
            at += 1
        elif token.kind == "symbol":
            _symbol(tokens, at, levels, where)
            at += 1
        else:
            at = _name(tokens, at, level, where)
    if len(levels) > 1 or levels[0].in_hint:
        raise Rejected(f"{where} has parentheses or hints that do not match.")


def _symbol(tokens: Sequence[Token], at: int, levels: list[_Level], where: str) -> None:
    level = levels[-1]
    match tokens[at].text:
        case "(":
            if len(levels) > MAX_PARENTHESES:
                raise Rejected(f"{where} is nested deeper than {MAX_PARENTHESES} parentheses.")
            of_text = at > 0 and tokens[at - 1].among("extract", "trim", "substr", "substring", "overlay")
            levels.append(_Level(expects_table=level.expects_table, of_text_function=of_text))
            level.expects_table = False
        case ")":
            if len(levels) == 1 or level.in_hint:
                raise Rejected(f"{where} has parentheses that do not match.")
            levels.pop()
        case ",":
            level.expects_table = level.in_from
        case "/*+":
            level.in_hint = True
        case "*/":
            if not level.in_hint:
                raise Rejected(f"{where} closes a comment that is not open.")
            level.in_hint = False
        case ";":
            raise Rejected(f"{where} holds more than one statement.")


def _name(tokens: Sequence[Token], at: int, level: _Level, where: str) -> int:
    """Check the word or name that starts there. Returns the place behind it."""
    parts, end = _chain(tokens, at)
    called = end < len(tokens) and tokens[end].among("(")
    if level.in_hint:  # the hint's own name; what is in its parentheses is checked like any expression
        _refuse_function(parts[-1], where)
        return end
    behind_dot = at > 0 and tokens[at - 1].among(".")
    if (
        tokens[at].kind == "word"
        and len(parts) == 1
        and not behind_dot
        and _keyword(tokens, at, level, where)
    ):
        return end
    if called:
        _check_call(tokens, at, end, parts, where)
    elif level.expects_table and not behind_dot:
        _check_table(parts, where)
        level.table_end = end
    elif _is_source(parts[0]) and any(set("/\\:") & set(part) for part in parts[1:]):
        raise Rejected(f"{where} reads files by their path: {shown('.'.join(parts), 60)!r}.")
    level.expects_table = False
    return end


def _keyword(tokens: Sequence[Token], at: int, level: _Level, where: str) -> bool:
    """Let an unquoted word change what the level expects. Returns whether the word is dealt with.

    Most of Spark's words can be names too: in `FROM a limit, b` and `FROM a select (x), b` they are aliases.
    So FROM only ends where no alias can be; a list that seems too long makes the rules stricter, not weaker.
    """
    following = tokens[at + 1] if at + 1 < len(tokens) else None
    alone = following is None or following.among(",", ")", ".")
    match tokens[at].text.lower():
        case "select" if not alone:
            level.in_from = level.in_from and not _is_set_operand(tokens, at)
            level.expects_table = False
        case "with":
            if following is not None and following.among("("):
                _check_table_options(tokens, at + 1, where)
            level.expects_table = False
        case "from" if not alone and not level.of_text_function and not _is_distinct_from(tokens, at):
            level.in_from = level.expects_table = True
        case "join" if not alone:
            level.in_from = level.expects_table = True
        case "table" if not alone:
            level.expects_table = True
        case "values" if not alone:
            level.expects_table = False
        case "lateral" if level.in_from and not alone:
            pass
        case "view" if at > 0 and tokens[at - 1].among("lateral"):
            level.expects_table = False
        case "by" if _is_clause(tokens, at) and level.table_end != at:  # not so in `FROM order by (x), b`
            level.in_from = level.expects_table = False
        case "stream" if level.expects_table and not alone:
            raise Rejected(f"{where} reads a stream.")
        case "using" if following is None or not following.among("("):
            raise Rejected(f"{where} runs a program or names a data source with USING.")
        case "insert" if following is not None and following.among("into", "overwrite"):
            raise Rejected(f"{where} writes: it holds INSERT.")
        case _:
            return False
    return True


def _is_clause(tokens: Sequence[Token], at: int) -> bool:
    return at > 0 and tokens[at - 1].among("group", "order", "sort", "cluster", "distribute")


def _is_set_operand(tokens: Sequence[Token], at: int) -> bool:
    """Whether SELECT starts the next part of a UNION and the like, or a step behind `|>`."""
    before = at - 2 if at > 1 and tokens[at - 1].among("all", "distinct") else at - 1
    if before < 0 or tokens[before].among("union", "except", "intersect", "minus"):
        return True
    return tokens[before].among(">") and before > 0 and tokens[before - 1].among("|")


def _is_distinct_from(tokens: Sequence[Token], at: int) -> bool:
    """Whether FROM belongs to `x IS [NOT] DISTINCT FROM y`; in `SELECT is distinct FROM` it does not."""
    start = at - 3 if at > 2 and tokens[at - 2].among("not") else at - 2
    if start < 1 or not tokens[start].among("is") or not tokens[at - 1].among("distinct"):
        return False
    operand = tokens[start - 1]
    if operand.kind == "symbol":
        return operand.among(")", "]")
    return not operand.among(
        "select", "distinct", "all", "not", "and", "or", "by", "when", "then", "else", "case"
    )


def _check_table_options(tokens: Sequence[Token], at: int, where: str) -> None:
    """Check `table WITH (option = value, ...)`."""
    key = True
    for token in tokens[at + 1 : _closing(tokens, at, where)]:
        if key and token.text.strip("'\"").lower() not in READ_OPTIONS:
            raise Rejected(
                f"{where} reads a table with the option {shown(token.text, 40)}, which is not allowed."
            )
        key = token.among(",")


def _chain(tokens: Sequence[Token], at: int) -> tuple[list[str], int]:
    """The parts of the name that starts there (`a.b.c`), and the place behind it."""
    parts: list[str] = []
    while at < len(tokens) and tokens[at].kind in ("word", "quoted"):
        parts.append(tokens[at].text)
        at += 1
        if (
            at + 1 >= len(tokens)
            or not tokens[at].among(".")
            or tokens[at + 1].kind not in ("word", "quoted")
        ):
            break
        at += 1
    return parts, at


def _check_call(tokens: Sequence[Token], at: int, end: int, parts: Sequence[str], where: str) -> None:
    name = parts[-1].lower()
    if len(parts) == 1 and tokens[at].kind == "word" and name in SYNTAX:
        return
    if len(parts) == 1 and name == "table_changes" and _names_plain_table(tokens, end):
        return
    # `name (a, b)` also gives columns to an alias or a named query.
    if len(parts) == 1 and name not in REFUSED_FUNCTIONS and _is_column_list(tokens, end):
        return
    _check_function(parts, where)


def _check_function(parts: Sequence[str], where: str) -> None:
    """Raises Rejected unless it is a built-in function that stays inside the query."""
    name = parts[-1].lower()
    _refuse_function(name, where)
    if [part.lower() for part in parts[:-1]] not in ([], ["builtin"], ["system", "builtin"]):
        raise Rejected(f"{where} calls a function of a schema: {shown('.'.join(parts), 60)!r}.")
    if name not in FUNCTIONS and name not in CLIENT_FUNCTIONS:
        raise Rejected(f"{where} calls {shown(parts[-1], 60)!r}, which is none of Spark's own functions.")


def _refuse_function(name: str, where: str) -> None:
    if reason := REFUSED_FUNCTIONS.get(name.lower()):
        raise Rejected(f"{where} calls {name.lower()}, which {reason}.")


def _is_column_list(tokens: Sequence[Token], at: int) -> bool:
    for index in range(at + 1, len(tokens), 2):
        if tokens[index].kind not in ("word", "quoted") or index + 1 >= len(tokens):
            return False
        if not tokens[index + 1].among(","):
            return tokens[index + 1].among(")")
    return False


def _names_plain_table(tokens: Sequence[Token], at: int) -> bool:
    """Whether the first argument is a string with a table's name, as Delta's table_changes takes it."""
    if at + 2 >= len(tokens) or tokens[at + 1].kind != "string" or not tokens[at + 2].among(","):
        return False
    name = tokens[at + 1].text[1:-1]
    return re.fullmatch(r"\w+(\.\w+)?", name, re.ASCII) is not None and not _is_source(name.split(".")[0])


def _name_parts(text: str, where: str) -> list[str]:
    """The parts of a name that Spark will parse. Raises Rejected if it is anything but one name."""
    tokens, _ = _tokens(text, where)
    parts, end = _chain(tokens, 0)
    if not parts or end != len(tokens):
        raise Rejected(f"{where} has {shown(text, 60)!r} where a plain name is expected.")
    return parts


def _is_source(name: str) -> bool:
    return name.lower() in SOURCES or "." in name


def _check_table(parts: Sequence[str], where: str) -> None:
    """Raises Rejected unless it is `table`, `database.table` or `spark_catalog.database.table`, plainly."""
    name = shown(".".join(parts), 60)
    if len(parts) > 3 or (len(parts) == 3 and parts[0].lower() != "spark_catalog"):
        raise Rejected(f"{where} reads {name!r}, which is not a table of this course.")
    if len(parts) > 1 and _is_source(parts[-2]):
        raise Rejected(f"{where} reads files by their path: {name!r}.")
    for part in parts:
        if (
            not part
            or len(part) > MAX_NAME
            or not part.isprintable()
            or set("/\\:*") & set(part)
            or ".." in part
        ):
            raise Rejected(f"{where} reads {name!r}, which is not a plain table name.")


# A second reading


def _second_opinion(text: str, tokens: Sequence[Token], where: str, creates_view: bool = False) -> None:
    """Check the tree that sqlglot makes of the text.

    What sqlglot can't parse was judged by its tokens already.
    """
    depth = deepest = 0
    for token in tokens:
        depth += token.among("(", "[") - token.among(")", "]")
        deepest = max(deepest, depth)
    if len(tokens) > MAX_TREE_TOKENS or deepest > MAX_TREE_PARENTHESES:
        return
    try:
        statements = sqlglot.parse(text.rstrip().rstrip(";"), dialect="spark")
    except (SqlglotError, RecursionError, ValueError):
        return
    if len(statements) != 1:
        raise Rejected(f"{where} holds more than one statement.")
    root = statements[0]
    if root is None or isinstance(root, tree.Command):
        return
    for node in root.walk():
        if (
            isinstance(node, tree.DML | tree.DDL)
            and not (creates_view and node is root)
            and not isinstance(node, tree.Query)
        ):
            raise Rejected(f"{where} is not a query: it holds {type(node).__name__.upper()}.")
        if isinstance(node, tree.QueryTransform):
            raise Rejected(f"{where} runs a program with TRANSFORM.")
        if isinstance(node, tree.Anonymous):
            _refuse_function(node.name, where)
        if isinstance(node, tree.Table) and isinstance(node.this, tree.Identifier):
            _check_table([part.name for part in node.parts], where)
