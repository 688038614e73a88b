"""SQL text of a learner's: what of it a trusted server may be given to parse.

It is split into tokens by the rules of Spark's SqlBaseLexer.g4. What could make Spark and this module read a text differently is
refused: `${...}` substitution, comments in comments or continued by a backslash, dollar quotes, letters outside ASCII in unquoted
words. Then names are checked on tokens, and once more on sqlglot's tree where sqlglot understands the query.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal

import sqlglot
from sqlglot import expressions as tree
from sqlglot.errors import SqlglotError

from labs_lib.vetting.text import Rejected, shown

MAX_SQL = 256 << 10  # characters of one text
MAX_TOKENS = 50_000
MAX_TREE_TOKENS = 5_000  # above this sqlglot's second opinion takes too long
MAX_PARENTHESES = 100
MAX_TREE_PARENTHESES = 40
MAX_NAME = 128


def words_of(text: str) -> frozenset[str]:
    return frozenset(text.split())


# `SHOW SYSTEM FUNCTIONS` of Spark 4.2.0, without its operators and without REFUSED_FUNCTIONS.
FUNCTIONS = words_of(
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
CLIENT_FUNCTIONS = words_of("product timestampadd timestampdiff distributed_sequence_id")
OPERATORS = words_of("! != % & * + - / < << <= <=> <> = == > >= >> >>> ^ | || ~")
REFUSED_FUNCTIONS = {
    **dict.fromkeys(["reflect", "try_reflect", "java_method"], "calls any Java method"),
    **dict.fromkeys(["from_protobuf", "to_protobuf"], "reads a descriptor file"),
    **dict.fromkeys(["from_avro", "to_avro", "schema_of_avro"], "can read a schema from a file"),
    **dict.fromkeys(["from_xml", "schema_of_xml"], "can read a schema from a file"),
    **dict.fromkeys(
        words_of(
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
SYNTAX = words_of(
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
SOURCES = words_of(
    """
    avro binaryfile console csv delta deltasharing foreachbatch hive hudi iceberg image jdbc json kafka
    kinesis libsvm memory noop orc paimon parquet protobuf rate ratepermicrobatch socket state-metadata
    statestore text txt xml
    """
)
READ_OPTIONS = words_of(
    """
    versionasof timestampasof readchangefeed readchangedata startingversion endingversion startingtimestamp
    endingtimestamp mergeschema
    """
)

_STATEMENT_STARTS = words_of("select with values from table")


# sqlglot warns of statements that it only half knows; they are judged all the same.
logging.getLogger("sqlglot").addHandler(logging.NullHandler())


# What a check meets


@dataclass
class Reading:
    """What one check may take for known, and the names that it met.

    functions: SQL functions of the session's own whose bodies were checked, in lower case. tables: names in a table's place (named
    queries of a WITH among them), each as its parts in lower case. words: names anywhere else, which may be those of variables.
    """

    functions: frozenset[str] = frozenset()
    tables: set[tuple[str, ...]] = field(default_factory=set)
    words: set[str] = field(default_factory=set)


READING: ContextVar[Reading | None] = ContextVar("reading", default=None)


@contextlib.contextmanager
def reading(functions: Iterable[str] = ()) -> Iterator[Reading]:
    """Let the checks within the block know those functions, and note the names that they meet."""
    noted = Reading(frozenset(functions))
    token = READING.set(noted)
    try:
        yield noted
    finally:
        READING.reset(token)


@dataclass(frozen=True)
class Token:
    """A token of Spark SQL.

    `text` is a word as written, a quoted name without its quotes, a literal or a symbol; it stands from `start` to `end`.
    """

    kind: Literal["word", "quoted", "string", "symbol"]
    text: str
    start: int = 0
    end: int = 0

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
    where = where_of("The SQL", text)
    tokens, plain = tokens_of(text, where)
    check_query_tokens(tokens, where)
    second_opinion(plain, tokens, where)


def check_expression(text: str) -> None:
    """Check a SQL expression, subqueries in it included. Raises Rejected for refused names and constructs."""
    where = where_of("The expression", text)
    tokens, plain = tokens_of(text, where)
    check_tokens(tokens, where)
    second_opinion(f"SELECT {plain}", tokens, where)


def where_of(what: str, text: str) -> str:
    return f"{what} {shown(' '.join(text[:200].split()), 60)!r}"


def tokens_of(text: str, where: str) -> tuple[list[Token], str]:
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
            tokens.append(Token("string", found, match.start(), at))
            content = found[2:-1] if kind == "raw" else found[1:-1]
            found = f"'{content if _HARMLESS_STRING.fullmatch(content) else 's'}'"
        elif kind == "quoted":
            tokens.append(Token("quoted", found[1:-1].replace("``", "`"), match.start(), at))
        elif kind == "word":
            if text.startswith("://", at):
                raise Rejected(f"{where} has an address as a name.")
            tokens.append(Token("word", found, match.start(), at))
        elif kind != "space":
            tokens.append(Token("symbol", found, match.start(), at))
        plain.append(found)
        if len(tokens) > MAX_TOKENS:
            raise Rejected(f"{where} has more than {MAX_TOKENS:,} tokens.")
    return tokens, "".join(plain)


def check_query_tokens(tokens: Sequence[Token], where: str) -> None:
    while tokens and tokens[-1].among(";"):
        tokens = tokens[:-1]
    start = 0
    if tokens and tokens[0].among("with"):
        start = _after_ctes(tokens, where)
    if start >= len(tokens) or not tokens[start].among("(", *_STATEMENT_STARTS):
        raise Rejected(f"{where} is not a query.")
    check_tokens(tokens, where)


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
            at = closing(tokens, at, where) + 1
            named_query = not stands("as", "max", "(")  # else it was a list of columns
        else:
            named_query = False
        if not named_query:
            at += 4 if stands("max") else 0  # MAX RECURSION LEVEL n
            at += 1 if stands("as") else 0
            if not stands("("):
                return len(tokens)
            at = closing(tokens, at, where) + 1
        if not stands(","):
            return at
        at += 1
    return at


def closing(tokens: Sequence[Token], at: int, where: str) -> int:
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


def check_tokens(tokens: Sequence[Token], where: str) -> None:
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
    parts, end = name_at(tokens, at)
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
        check_table_name(parts, where)
        level.table_end = end
    elif (noted := READING.get()) is not None and not _is_source(parts[0]):
        noted.words.add(parts[-1].lower())
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
    for token in tokens[at + 1 : closing(tokens, at, where)]:
        if key and token.text.strip("'\"").lower() not in READ_OPTIONS:
            raise Rejected(
                f"{where} reads a table with the option {shown(token.text, 40)}, which is not allowed."
            )
        key = token.among(",")


def name_at(tokens: Sequence[Token], at: int) -> tuple[list[str], int]:
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
    if noted := READING.get():
        noted.words.add(name)
    if len(parts) == 1 and tokens[at].kind == "word" and name in SYNTAX:
        return
    if len(parts) == 1 and name == "table_changes":
        if not _names_plain_table(tokens, end):  # a variable may hold a path
            raise Rejected(f"{where} calls table_changes with something else than a table's name in quotes.")
        return
    # `name (a, b)` also gives columns to an alias or a named query.
    if len(parts) == 1 and name not in REFUSED_FUNCTIONS and _is_column_list(tokens, end):
        return
    check_function(parts, where)


def check_function(parts: Sequence[str], where: str) -> None:
    """Raises Rejected unless it is a built-in function that stays inside the query."""
    name = parts[-1].lower()
    _refuse_function(name, where)
    noted = READING.get()
    if noted is not None and ".".join(parts).lower() in noted.functions:
        return
    if [part.lower() for part in parts[:-1]] not in ([], ["builtin"], ["system", "builtin"]):
        raise Rejected(f"{where} calls a function of a schema: {shown('.'.join(parts), 60)!r}.")
    if name not in FUNCTIONS and name not in CLIENT_FUNCTIONS:
        raise Rejected(
            f"{where} calls {shown(parts[-1], 60)!r}, which is none of Spark's own functions, nor one in SQL of this session."
        )


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
    plain = re.fullmatch(r"\w+(\.\w+)?", name, re.ASCII) is not None and not _is_source(name.split(".")[0])
    if plain and (noted := READING.get()):
        noted.tables.add(tuple(name.lower().split(".")))
    return plain


def name_parts(text: str, where: str) -> list[str]:
    """The parts of a name that Spark will parse. Raises Rejected if it is anything but one name."""
    tokens, _ = tokens_of(text, where)
    parts, end = name_at(tokens, 0)
    if not parts or end != len(tokens):
        raise Rejected(f"{where} has {shown(text, 60)!r} where a plain name is expected.")
    return parts


def _is_source(name: str) -> bool:
    return name.lower() in SOURCES or "." in name


def check_table_name(parts: Sequence[str], where: str) -> None:
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
    if noted := READING.get():
        noted.tables.add(tuple(part.lower() for part in parts))


# A second reading


def second_opinion(text: str, tokens: Sequence[Token], where: str) -> None:
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
        if isinstance(node, tree.DML | tree.DDL) and not isinstance(node, tree.Query):
            raise Rejected(f"{where} is not a query: it holds {type(node).__name__.upper()}.")
        if isinstance(node, tree.QueryTransform):
            raise Rejected(f"{where} runs a program with TRANSFORM.")
        if isinstance(node, tree.Anonymous):
            _refuse_function(node.name, where)
        if isinstance(node, tree.Table) and isinstance(node.this, tree.Identifier):
            check_table_name([part.name for part in node.parts], where)
