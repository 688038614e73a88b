"""Expectations: rules about the records of a dataset, as decorators under the names that Databricks gives them.

    @expect("usual_quantity", "quantity BETWEEN 1 AND 24")
    @expect_or_drop("known_product", "department IS NOT NULL")
    @expect_or_fail("identified", "line_id IS NOT NULL")
    def sales_checked():
        return spark.table("sales_landing").join(...)

Calling the function gives a DataFrame that follows its rules: records that break a drop rule are filtered out, and the first record
that breaks a fail rule raises an error in whatever query reads it. That needs no action, so it works in a declarative pipeline too,
with `@dp.table` or `@dp.materialized_view` above these decorators. `write_checked` does the same with counts, for plain DataFrames.

A condition holds for a record when it is true. NULL is not true: `quantity > 0` fails for a record without quantity. Each rule is
counted over every record that the function returns, those that another rule drops included.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from labs_lib.arguments import callable_with, checked
from labs_lib.errors import LabsError, first_line

Action = Literal["warn", "drop", "fail"]
Mode = Literal["append", "overwrite"]
Dataset = Callable[..., DataFrame]
Decorator = Callable[[Dataset], Dataset]

METRICS = "quality_metrics"
METRICS_SCHEMA = "run LONG, dataset STRING, rule STRING, action STRING, passed_records LONG, failed_records LONG, recorded_at TIMESTAMP"
# Attributes of a decorated function: its rules, in the order in which they are written, and the function without them. (`__wrapped__` would not
# do: it is whatever another decorator was put around.)
_RULES, _INNER = "__expectations__", "__without_expectations__"


@dataclass(frozen=True)
class Rule:
    """A rule: its name, a condition in SQL, and what happens to a record for which the condition is not true."""

    name: str
    condition: str
    action: Action


@dataclass(frozen=True)
class RuleCount:
    """How many records of a run passed a rule and how many failed it."""

    rule: str
    action: Action
    passed: int
    failed: int


@dataclass(frozen=True)
class CheckedRun:
    """A finished run. `written` is False if the target held this run already, so that nothing was added."""

    dataset: str
    run: int
    counts: tuple[RuleCount, ...]
    written: bool


class ExpectationFailed(LabsError):
    """A fail rule was broken; nothing was written. `counts` are those of all the dataset's rules."""

    def __init__(self, sentence: str, dataset: str, run: int, counts: tuple[RuleCount, ...]) -> None:
        super().__init__(sentence)
        self.dataset, self.run, self.counts = dataset, run, counts


def expect(name: str, condition: str) -> Decorator:
    """Count the records for which the condition is not true, and keep them. Raises LabsError for a rule that is no rule."""
    return _decorator({name: condition}, "warn")


def expect_or_drop(name: str, condition: str) -> Decorator:
    """Count the records for which the condition is not true, and leave them out. Raises LabsError for a rule that is no rule."""
    return _decorator({name: condition}, "drop")


def expect_or_fail(name: str, condition: str) -> Decorator:
    """Stop when the condition is not true for some record. Raises LabsError for a rule that is no rule."""
    return _decorator({name: condition}, "fail")


def expect_all(conditions: Mapping[str, str]) -> Decorator:
    """`expect` for several rules, as a dict of name and condition."""
    return _decorator(conditions, "warn")


def expect_all_or_drop(conditions: Mapping[str, str]) -> Decorator:
    """`expect_or_drop` for several rules: a record is left out if it breaks any of them."""
    return _decorator(conditions, "drop")


def expect_all_or_fail(conditions: Mapping[str, str]) -> Decorator:
    """`expect_or_fail` for several rules."""
    return _decorator(conditions, "fail")


def rules_of(dataset: Dataset) -> tuple[Rule, ...]:
    """The rules of a decorated function, in the order in which they are written above it. Raises LabsError if it has none."""
    rules: tuple[Rule, ...] = getattr(dataset, _RULES, ())
    if not rules:
        raise LabsError(
            f"{getattr(dataset, '__name__', dataset)!s} has no expectations; decorate the function, as in @expect(name, condition)."
        )
    return rules


@checked
def rule_counts(dataset: Dataset) -> DataFrame:
    """Counts of a decorated function's rules as a DataFrame, not computed yet: one aggregation over what the function returns.

    Columns: dataset, rule, action (strings), passed_records, failed_records (longs). In a declarative pipeline, a materialized view
    that returns this keeps the newest refresh's counts; it reads the source once more. Raises LabsError if the function has no rules.
    """
    rules = rules_of(dataset)
    return _counts(_unchecked(dataset), _name(dataset), rules)


@checked
def write_checked(
    dataset: Dataset,
    run: int,
    target: str | None = None,
    metrics: str = METRICS,
    mode: Mode = "append",
) -> CheckedRun:
    """Write what a decorated function returns to a Delta table under its rules, and their counts to a metrics table.

    run: number of the run, 1 or more, going up; target: the table, by default called like the function; mode: append, or overwrite.
    Target and metrics table are made if they are not there. The metrics table has the columns of METRICS_SCHEMA and a row per run
    and rule, also for a run that failed.

    The function's DataFrame is kept (memory, then disk) while this runs: its source is read once, to count all rules in one
    aggregation, and the records that are then written are the ones that were counted. A broken fail rule raises
    ExpectationFailed before anything is written to the target. A run that is written twice is in the target once: each
    write is a Delta transaction with the run's number.

    A run whose number the target has already adds nothing, and the counts that are on record for it stay.

    Raises LabsError if the arguments, the function, a rule's condition, the target or the metrics table can't be used.
    """
    rules, name = rules_of(dataset), _name(dataset)
    target = target or name
    _check_arguments(run, mode, target, metrics)
    frame = _unchecked(dataset)
    with _explained(f"What {name} returns can't be read"):
        streaming = frame.isStreaming
    if streaming:
        raise LabsError(
            f"{name} returns a stream; call write_checked inside foreachBatch, on a function that returns the batch."
        )
    spark = frame.sparkSession
    _check_conditions(frame, name, rules)
    again = _prepare_metrics(spark, metrics, name, run)
    kept = frame.storageLevel != StorageLevel.NONE  # by the caller, who may still need it
    held = frame if kept else frame.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        with _explained(f"The rules of {name} can't be counted, so nothing was written"):
            rows = _counts(held, name, rules).collect()
        counts = tuple(RuleCount(r.rule, r.action, r.passed_records, r.failed_records) for r in rows)
        broken = [each for each in counts if each.action == "fail" and each.failed]
        if broken:
            _record(spark, metrics, name, run, counts, again)
            raise ExpectationFailed(_sentence(broken, rules, name, run, target, metrics), name, run, counts)
        with _explained(f"The records of {name} can't be written to {target}"):
            written = _write(_sound(held, rules), target, name, run, mode)
        if written or not again:
            _record(spark, metrics, name, run, counts, again)
    finally:
        if not kept:
            held.unpersist()
    return CheckedRun(name, run, counts, written)


def _decorator(conditions: Mapping[str, str], action: Action) -> Decorator:
    if not isinstance(conditions, Mapping) or not conditions:
        raise LabsError(f"Expectations are a dict of name and condition; got {conditions!r}.")
    for name, condition in conditions.items():
        for text, what in ((name, "name"), (condition, "condition")):
            if not isinstance(text, str) or not text.strip():
                raise LabsError(f"An expectation's {what} is a text that is not empty; got {text!r}.")
    added = tuple(Rule(name, condition, action) for name, condition in conditions.items())

    def decorate(function: Dataset) -> Dataset:
        if not callable(function):
            raise LabsError(
                f"Expectations stand above a function; here is {function!r}. "
                "In a pipeline, @dp.table or @dp.materialized_view goes above them, since it leaves no function behind."
            )
        inner: Dataset = getattr(function, _INNER, function)
        rules = (*added, *getattr(function, _RULES, ()))
        names = [rule.name for rule in rules]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise LabsError(
                f"{_name(inner)} has two expectations called {twice!r}; names are unique in a dataset."
            )

        @functools.wraps(inner)
        def checked(*arguments: Any, **options: Any) -> DataFrame:
            return _guarded(_returned(inner, *arguments, **options), rules, _name(inner))

        setattr(checked, _RULES, rules)
        setattr(checked, _INNER, inner)
        return checked

    return decorate


@contextlib.contextmanager
def _explained(sentence: str) -> Iterator[None]:
    """An error of Spark's in this block becomes a LabsError that begins with the sentence."""
    try:
        yield
    except PySparkException as error:
        raise LabsError(f"{sentence}: {first_line(error)}") from None


def _name(dataset: Dataset) -> str:
    return str(getattr(dataset, "__name__", "dataset"))


def _unchecked(dataset: Dataset) -> DataFrame:
    """What the function itself returns, without its rules."""
    inner: Dataset = getattr(dataset, _INNER)
    callable_with(inner, _name(dataset))
    return _returned(inner)


def _returned(function: Dataset, *arguments: Any, **options: Any) -> DataFrame:
    frame = function(*arguments, **options)
    if not isinstance(frame, DataFrame):
        raise LabsError(
            f"{_name(function)} has expectations and should return a DataFrame; it returned {type(frame).__name__}."
        )
    return frame


def _holds(rule: Rule) -> Column:
    return F.coalesce(F.expr(rule.condition), F.lit(False))


def _sound(frame: DataFrame, rules: Sequence[Rule]) -> DataFrame:
    """The records that no drop rule leaves out."""
    for rule in rules:
        if rule.action == "drop":
            frame = frame.where(_holds(rule))
    return frame


def _guarded(frame: DataFrame, rules: Sequence[Rule], name: str) -> DataFrame:
    """The same, and reading it raises an error at the first record that breaks a fail rule, be it dropped or not."""
    keep: Column = F.lit(True)
    for rule in rules:
        if rule.action == "drop":
            keep = keep & _holds(rule)
    for rule in reversed(rules):
        if rule.action == "fail":
            message = f"Expectation {rule.name} ({rule.condition}) of {name} does not hold for a record."
            keep = F.when(~_holds(rule), F.raise_error(F.lit(message))).otherwise(keep)
    return frame.where(keep) if any(rule.action != "warn" for rule in rules) else frame


def _counts(frame: DataFrame, name: str, rules: Sequence[Rule]) -> DataFrame:
    passed = [F.count_if(_holds(rule)).alias(f"rule_{place}") for place, rule in enumerate(rules)]
    counted = frame.agg(F.count(F.lit(1)).alias("records"), *passed)
    rows = [
        F.struct(
            F.lit(name).alias("dataset"),
            F.lit(rule.name).alias("rule"),
            F.lit(rule.action).alias("action"),
            F.col(f"rule_{place}").alias("passed_records"),
            (F.col("records") - F.col(f"rule_{place}")).alias("failed_records"),
        )
        for place, rule in enumerate(rules)
    ]
    return counted.select(F.explode(F.array(*rows)).alias("count")).select("count.*")


def _check_arguments(run: int, mode: str, target: str, metrics: str) -> None:
    if isinstance(run, bool) or not isinstance(run, int) or run < 1:
        raise LabsError(f"The run is {run!r}; it has to be a whole number, 1 or more.")
    if mode not in get_args(Mode):
        raise LabsError(f"The mode is {mode!r}; there are {' and '.join(get_args(Mode))}.")
    if target.lower() == metrics.lower():
        raise LabsError(f"Target and metrics are both {target}; give the metrics a table of their own.")


def _check_conditions(frame: DataFrame, name: str, rules: Sequence[Rule]) -> None:
    """Name the rule whose condition Spark can't evaluate to true or false on these records, if there is one."""

    def analyse(checked: Sequence[Rule]) -> None:
        # WHERE, since it refuses aggregates, which mean nothing for a single record.
        functools.reduce(lambda each, rule: each.where(_holds(rule)), checked, frame).schema  # noqa: B018

    try:
        return analyse(rules)
    except PySparkException:
        pass
    for rule in rules:
        try:
            analyse([rule])
        except PySparkException as error:
            raise LabsError(
                f"The condition of {rule.name} ({rule.condition}) can't be evaluated on {name}: {first_line(error)}"
            ) from None


def _prepare_metrics(spark: SparkSession, metrics: str, name: str, run: int) -> bool:
    """Make the metrics table if it is not there, and tell whether it knows this run already.

    Raises LabsError if it is another kind of table, or knows a later run.
    """
    try:
        spark.sql(f"CREATE TABLE IF NOT EXISTS {metrics} ({METRICS_SCHEMA})")
        recorded = spark.table(metrics).where(F.col("dataset") == name).select(F.max("run")).first()
    except PySparkException as error:
        raise LabsError(f"{metrics} can't hold metrics ({METRICS_SCHEMA}): {first_line(error)}") from None
    latest = recorded[0] if recorded else None
    if latest is not None and run < latest:
        raise LabsError(
            f"{metrics} knows run {latest} of {name} already; run numbers go up, so {run} can't come after it."
        )
    return bool(latest == run)


def _write(frame: DataFrame, target: str, name: str, run: int, mode: Mode) -> bool:
    spark = frame.sparkSession
    before = _version(spark, target)
    # Delta leaves out a transaction whose application has committed this version, or a later one, to the table before.
    options = {
        "txnAppId": f"expectations of {name}",
        "txnVersion": str(run),
        "userMetadata": f"{name}, run {run}",
    }
    frame.write.mode(mode).options(**options).saveAsTable(target)
    return _version(spark, target) != before


def _version(spark: SparkSession, table: str) -> int | None:
    if not spark.catalog.tableExists(table):
        return None
    newest = spark.sql(f"DESCRIBE HISTORY {table} LIMIT 1").first()
    return int(newest.version) if newest else None


def _record(
    spark: SparkSession, metrics: str, name: str, run: int, counts: Sequence[RuleCount], again: bool
) -> None:
    """Add the counts of a run; those of an earlier try (`again`) are replaced in the same commit."""
    rows = [(run, name, each.rule, each.action, each.passed, each.failed) for each in counts]
    schema = METRICS_SCHEMA.rsplit(",", 1)[0]
    writer = spark.createDataFrame(rows, schema).withColumn("recorded_at", F.current_timestamp()).write
    if again:
        quoted = name.replace("'", "''")
        writer = writer.mode("overwrite").option("replaceWhere", f"run = {run} AND dataset = '{quoted}'")
    else:
        writer = writer.mode("append")
    writer.saveAsTable(metrics)


def _sentence(
    broken: Sequence[RuleCount], rules: Sequence[Rule], name: str, run: int, target: str, metrics: str
) -> str:
    conditions = {rule.name: rule.condition for rule in rules}
    what = "; ".join(
        f"{each.rule} ({conditions[each.rule]}) does not hold for {each.failed:,} of {each.passed + each.failed:,} records"
        for each in broken
    )
    return (
        f"Run {run} of {name} stopped: {what}. Nothing was written to {target}; the counts are in {metrics}. "
        "Repair these records or take them out, then run again."
    )
