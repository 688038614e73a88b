"""What a statement may be made of: kinds of plan nodes and names of functions, on Spark's own unresolved plan.

What is on no list is refused, so that a kind which a later Spark brings is refused until somebody has looked at it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from labs_lib.vetting.sql import CLIENT_FUNCTIONS, FUNCTIONS, OPERATORS, words_of
from labs_lib.workspace.ground.errors import InvalidParameter, PermissionDenied
from labs_lib.workspace.sql.plan import Node

Root = Literal["query", "change", "table", "alter", "view", "function"]

ROOTS: dict[str, Root] = {
    **dict.fromkeys(words_of("InsertIntoStatement UpdateTable DeleteFromTable MergeIntoTable"), "change"),
    **dict.fromkeys(words_of("CreateTable CreateTableAsSelect ReplaceTable ReplaceTableAsSelect"), "table"),
    **dict.fromkeys(words_of("AddColumns DropColumns RenameColumn AlterColumns SetTableProperties UnsetTableProperties"), "alter"),
    "CreateView": "view",
    "CreateUserDefinedFunction": "function",
}  # fmt: skip
# Plan nodes that a query may have, at its root or anywhere in it.
QUERIES = words_of(
    """
    Project Filter Aggregate Join Sort GlobalLimit LocalLimit Offset Distinct Union Except Intersect SubqueryAlias Generate
    WithWindowDefinition UnresolvedWith Pivot Unpivot LateralJoin LocalRelation OneRowRelation Sample UnresolvedHint
    RepartitionByExpression RebalancePartitions UnresolvedSubqueryColumnAliases UnresolvedTableValuedFunction UnresolvedTVFAliases
    UnresolvedInlineTable UnresolvedHaving UnresolvedQualify UnresolvedRelation RelationTimeTravel
    """
)
# What else the parser makes of queries and of the statements in ROOTS.
_PARTS = words_of(
    """
    UnresolvedAttribute UnresolvedStar UnresolvedStarExceptOrReplace UnresolvedRegex UnresolvedAlias UnresolvedFunction UnresolvedGenerator
    UnresolvedExtractValue UnresolvedOrdinal UnresolvedSubqueryColumnAliases NamedParameter PosParameter UnresolvedWindowExpression
    UnresolvedIdentifier UnresolvedTable UnresolvedFieldName UnresolvedFieldPosition UnresolvedTableSpec OptionList ColumnDefinition
    DefaultValueExpression QualifiedColType AlterColumnSpec Assignment UpdateAction DeleteAction InsertAction UpdateStarAction
    InsertStarAction UsingJoin NaturalJoin LateralSubquery GroupingAnalytics PipeExpression PipeOperator UnresolvedDeserializer
    Inner$ LeftOuter$ RightOuter$ FullOuter$ LeftSemi$ LeftAnti$ Cross$ LateralJoin ResolvedHint HintInfo JoinHint
    """
)
_HARMLESS = (
    "expressions.",
    "FunctionIdentifier",
    "TableIdentifier",
    "AliasIdentifier",
    "DataType",
    "CatalogTable",
)
# Expressions that the parser makes by themselves, and that reach outside of the rows.
_REFUSED_EXPRESSIONS = words_of(
    "InputFileName InputFileBlockStart InputFileBlockLength CallMethodViaReflection"
)
_TABLE_FUNCTIONS = words_of(
    "range explode explode_outer posexplode posexplode_outer inline inline_outer json_tuple stack variant_explode sequence"
)
_WRITES = "__required_write_privileges__"  # what the parser itself puts there for a table that is written to
# Functions of Spark's that tell of the machine or of files, beside those that vetting refuses everywhere.
_OUTSIDE = words_of(
    "input_file_name input_file_block_start input_file_block_length version current_path spark_partition_id"
)
ALLOWED = (FUNCTIONS | CLIENT_FUNCTIONS | OPERATORS) - _OUTSIDE
# Bound to the caller and the request by the rewriter, since Spark's own speak of the operating system's user.
USER = words_of("current_user session_user user")
MEMBER = words_of("is_account_group_member is_member")
PLACE = words_of("current_catalog current_schema current_database")

_WHY = {
    "SetVariable": "statements have no session, so no variables",
    "CreateVariable": "statements have no session, so no variables",
    "UnresolvedExecuteImmediate": "EXECUTE IMMEDIATE runs text that nobody has read",
    "PlanWithUnresolvedIdentifier": "a name has to be written down, not worked out",
    "ExpressionWithUnresolvedIdentifier": "a name has to be written down, not worked out",
    "CompoundBody": "one statement at a time",
    "CreateViewCommand": "statements have no session, so no temporary views",
    "ScriptTransformation": "TRANSFORM runs a program",
    "ExplainCommand": "a plan tells values of tables",
    "DescribeDeltaHistory": "a history tells values: conditions of past statements",
    "SetCatalogAndNamespace": "statements have no session: the request says catalog and schema",
    "UseStatement": "statements have no session: the request says catalog and schema",
}


def root_of(plan: Node) -> Root:
    """What kind of statement it is. Raises InvalidParameter for kinds that are not offered."""
    kind = (
        "query"
        if plan.name in QUERIES or plan.name == "UnresolvedSubqueryColumnAliases"
        else ROOTS.get(plan.name)
    )
    if kind is None:
        raise refused(plan)
    return kind


def check(plan: Node) -> None:
    """Raises InvalidParameter for a node or function that is on no list, anywhere in the plan."""
    root = plan
    for each in plan.walk():
        if each is root and each.name in ROOTS:
            continue
        if each.name in _REFUSED_EXPRESSIONS or not (
            each.name in QUERIES or each.name in _PARTS or each.kind.startswith(_HARMLESS) or _is_plain(each)
        ):
            raise refused(each)
        match each.name:
            case "UnresolvedTableValuedFunction":
                _check_function(each.parts("name"), _TABLE_FUNCTIONS, "table function")
            case "UnresolvedGenerator":
                identifier = each.fields["name"]
                _check_function([str(identifier.fields["funcName"])], ALLOWED, "function")
                if identifier.fields.get("database"):
                    raise refused(each)
            case "UnresolvedRelation":
                if each.fields["isStreaming"] == "true":
                    raise InvalidParameter(
                        "STREAM is not offered here: a statement reads tables as they are."
                    )
                if set(each.fields["options"]) - {_WRITES}:
                    raise InvalidParameter("A table can't be read with options (WITH ...) here.")


def is_own(parts: list[str]) -> bool:
    """Whether Spark has that function and it stays within the rows; others are the catalog's, or refused."""
    return len(parts) == 1 and parts[0].lower() in ALLOWED


def _check_function(parts: list[str], allowed: frozenset[str], what: str) -> None:
    if len(parts) != 1 or parts[0].lower() not in allowed:
        raise InvalidParameter(f"The {what} {'.'.join(parts)!r} is not offered here.")


def _is_plain(each: Node) -> bool:
    """A value of the parser's own that holds nothing to run: an object without fields of a class of Spark's or Scala's."""
    return not each.fields and each.start < 0 and "Lambda" not in each.kind


def refused(plan: Node) -> InvalidParameter:
    why = _WHY.get(plan.name, "it is on no list of what statements may be made of")
    return InvalidParameter(f"{plan.name} is not offered here: {why}.")


def check_analysed(plan: Node, allowed: Mapping[str, frozenset[str]], target: str = "") -> None:
    """Raises PermissionDenied unless every leaf of an analysed plan stands where the rewriter put it.

    `allowed` says for each of the caller's views, and for the statement itself under the empty name, which tables may stand directly
    in it; `target` is the table that the statement changes, which may stand where it is changed. This does not trust the rewriting:
    whatever way a table came in by, it is seen here.
    """
    view = _check_leaf(plan, "", allowed)
    for name, value in plan.fields.items():
        is_target = plan.name not in QUERIES and name in ("table", "target", "child", "name")
        inside = {**allowed, "": allowed[""] | {target}} if target and is_target else allowed
        _check_leaves(value, view, inside)


# Leaves of an analysed plan that hold no table: values in the statement itself, and what a command says of its own doing.
_VALUES = words_of(
    """
    OneRowRelation LocalRelation Range CTERelationRef UnionLoopRef EmptyRelation CommandResult ResolvedTable ResolvedIdentifier
    ResolvedV1Identifier ResolvedPersistentView ResolvedFieldName
    """
)


def _check_leaves(value: object, view: str, allowed: Mapping[str, frozenset[str]]) -> None:
    if isinstance(value, list):
        for item in value:
            _check_leaves(item, view, allowed)
    elif isinstance(value, Node):
        view = _check_leaf(value, view, allowed)
        for item in value.fields.values():
            _check_leaves(item, view, allowed)


def _check_leaf(value: Node, view: str, allowed: Mapping[str, frozenset[str]]) -> str:
    """The view in which the fields of this node stand."""
    if value.name == "View":
        view = value.fields["desc"].text.removeprefix("spark_catalog.")
        if view not in allowed:
            raise _outside(view)
    elif value.name in ("LogicalRelation", "DataSourceV2Relation", "HiveTableRelation"):
        table = value.fields.get("catalogTable")
        name = (
            (table.text if isinstance(table, Node) else value.text)
            .replace("`", "")
            .removeprefix("spark_catalog.")
        )
        if name not in allowed.get(view, frozenset()):
            raise _outside(name or value.name)
    elif (
        value.name in _REFUSED_EXPRESSIONS
        or value.name in ("CurrentUser", "PythonUDF")
        or (value.name.endswith(("Relation", "Scan", "RDD")) and value.name not in _VALUES)
    ):
        raise _outside(value.name)
    return view


def _outside(name: str) -> PermissionDenied:
    return PermissionDenied(
        f"The statement reaches {name} in a way that nobody granted; it was not run, and the audit log says so."
    )
