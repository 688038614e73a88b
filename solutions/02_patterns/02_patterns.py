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
# # Module 2: Pipeline patterns and resilience
#
# A pipeline that is right on the day it is written meets, sooner or later, a customer who moves, a change that arrives before the one it follows, an
# event that is an hour late, a record that can't be parsed, a service that is down, and a machine that stops between two writes. None of these is rare.
# This module is about pipelines that are right on such days too, and about proving it: each pattern here is tried with the failure that it is for.
#
# | part | you learn to | exercise |
# |---|---|---|
# | Lessons 1 to 5: slowly changing dimensions; change data capture; streaming aggregation, watermarks and late data; incremental against full processing | keep history with one MERGE, apply changes in the order in which they were made, bound a stream's state and know what that drops, and see what incremental processing saves | 2a, processing patterns |
# | Lessons 6 to 10: foreachBatch and dead-letter tables; expectations; circuit breakers; idempotent writes; recovery | let a stream go on when a record can't be used, stop it when too many can't, call a service that fails, write twice what counts once, and start again after a crash | 2b, resilient pipelines |
#
# The data is the retailer's year of module 1. Households get changes, sales arrive late, in pieces and damaged: feeds made from the real tables,
# different for every seed. The streams are real Structured Streaming queries on the server that this notebook starts. They run with the trigger
# `availableNow`, which processes what is there and ends, so that nothing here waits for a clock.
#
# **How the exercises work.** As in module 1: each step has a cell for your answer and a check cell below it. A check looks at what came out: rows, the
# Delta history, the metrics of the stream. It does not look at how your code is written (2a.2 alone reads which datasets a pipeline's file defines).
# Answer cells get run more than once, so each begins by removing what it makes: tables with `lab.drop(...)`, checkpoints with their folder. A stream
# that finds an old checkpoint goes on from there, and a table without its checkpoint, or a checkpoint without its table, is the most common reason for
# figures that can't be explained.

# %% tags=["parameters"]
SEED = 0  # which variation of the data; the checks know what it holds

# %% tags=["setup"]
import contextlib
import itertools
import json
import shutil
from urllib.request import urlopen

import pandas as pd
from pyspark.sql import Observation
from pyspark.sql import functions as F

from labs_lib import check, open_lab, progress, run_pipeline, spark_conf, write_pipeline
from labs_lib.measuring import BLUE, GREEN, GREY, ORANGE, bars, figure, measure, rows_read, show
from labs_lib.patterns import CircuitOpen, ExpectationFailed, FlakyService, ManualClock, Outage
from labs_lib.patterns import batches, forget_last_batch, forget_stream, replay, run_stream, sales_feed
from labs_lib.patterns import create_auto_cdc_flow, drop_auto_cdc_flow, interleave, killing, play_deliveries, rehearse
from labs_lib.patterns import expect, expect_or_drop, expect_or_fail, rule_counts, write_checked
from labs_lib.patterns.feeds import captured, deliveries, dimension, dirty_sales, sales_batches, sales_files

lab = open_lab("02_patterns", seed=SEED)
spark = lab.spark
print("The Spark UI of this server:", lab.ui)

# %% [markdown]
# Its tab *Structured Streaming* lists the streams of this notebook with their batches. It is worth a look after each of them.

# %%
transactions = lab.load("transactions")
products = lab.load("products")
stores = lab.load("stores")
households = lab.load("households")
for name in ("transactions", "products", "stores", "households"):
    print(f"{name:<13} {spark.table(name).count():>9,} rows  {', '.join(spark.table(name).columns[:6])}")

# %% [markdown]
# ## Exercise 2a: Processing patterns
#
# Five patterns for data that does not hold still. What they have in common: each can be run again on the same input, and the table is the same
# afterwards.

# %% [markdown]
# ## Lesson 1: Slowly changing dimensions
#
# Why: a household moves. From then on its sales belong to another region, but last year's sales still belong to the old one. A table that holds only
# today's address rewrites every report about the past. Two answers have had numbers since the nineties:
#
# | | what happens to a change | what you can ask |
# |---|---|---|
# | **type 1** | the row is overwritten | what is true now |
# | **type 2** | the row is closed, and a new version opened | what was true at any time |
#
# A type 2 table has a row per *version*: the details, `valid_from`, `valid_to` and `is_current`. The interval is half open: a version holds from
# `valid_from` on and *before* `valid_to`, which is the next version's `valid_from`, or null for the version that holds now. So no moment has two
# versions and none is left without. `valid_from <= t AND (valid_to > t OR valid_to IS NULL)` finds the one for a time `t`.
#
# A small dimension, and two changes for it:

# %% tags=["demo"]
lab.drop("customers")
spark.sql("""
    CREATE TABLE customers AS
    SELECT id, city, TIMESTAMP'2026-01-01' AS valid_from, CAST(null AS TIMESTAMP) AS valid_to, true AS is_current
    FROM VALUES (1, 'Porto'), (2, 'Lyon'), (3, 'Graz') AS t(id, city)
""")
updates = spark.createDataFrame([(2, "Nice", "2026-02-01"), (4, "Bern", "2026-02-01")], "id INT, city STRING, since STRING")
updates.withColumn("since", F.to_timestamp("since")).createOrReplaceTempView("updates")

# %% [markdown]
# A popular recipe does it in two steps: one MERGE closes what has changed, a second one inserts what is new, matched on `valid_from`. Two things are
# wrong with it. Each MERGE is a commit, and whoever reads between them, or after a crash between them, finds customer 2 without a current row. And
# where `valid_from` is the time of the run, a rerun never finds what it inserted before: it inserts again.

# %% tags=["demo"]
close = """MERGE INTO customers c USING updates u ON c.id = u.id AND c.is_current
           WHEN MATCHED AND c.city <> u.city THEN UPDATE SET valid_to = current_timestamp(), is_current = false"""
insert = """MERGE INTO customers c USING (SELECT *, current_timestamp() AS run_at FROM updates) u ON c.id = u.id AND c.valid_from = u.run_at
            WHEN NOT MATCHED THEN INSERT (id, city, valid_from, is_current) VALUES (u.id, u.city, u.run_at, true)"""
spark.sql(close)
print("current rows of customer 2 between the two commits:", spark.table("customers").where("id = 2 AND is_current").count())
spark.sql(insert)
for statement in (close, insert):  # the job is run again
    spark.sql(statement)
print("current rows of customer 2 after a rerun:          ", spark.table("customers").where("id = 2 AND is_current").count())

# %% [markdown]
# **One MERGE** is one commit: readers see all of it or nothing. It takes a row of its source to close a version and another one to open the next. So
# the source has both: each changed record twice, once with its key, and once with a null as key, which matches nothing and is inserted. The time comes
# from the data, not from the clock:

# %% tags=["demo"]
spark.sql("RESTORE TABLE customers TO VERSION AS OF 0")
one_merge = """
    MERGE INTO customers c
    USING (
        SELECT id AS key, * FROM updates
        UNION ALL
        SELECT null, u.* FROM updates u JOIN customers c ON u.id = c.id AND c.is_current AND NOT u.city <=> c.city
    ) u
    ON c.id = u.key AND c.is_current
    WHEN MATCHED AND NOT c.city <=> u.city THEN UPDATE SET valid_to = u.since, is_current = false
    WHEN NOT MATCHED THEN INSERT (id, city, valid_from, is_current) VALUES (u.id, u.city, u.since, true)"""
for run in ("first run", "rerun"):
    metrics = spark.sql(one_merge).first()
    print(f"{run:<10} inserted {metrics.num_inserted_rows}, updated {metrics.num_updated_rows}")
spark.table("customers").orderBy("id", "valid_from").show()

# %% [markdown]
# `<=>` is equality that knows nulls. With `<>`, a city that was unknown and is known now (or the other way round) is no change, as `null <> 'Nice'` is
# null.
#
# This form is right as long as each batch has one record per key, and records arrive in order. Real feeds keep neither promise. With two records for a
# key, MERGE refuses (two source rows for one target row) or inserts both as current. A **late** record, one that took effect before the version that is
# current, has its place in the middle of the history:

# %% tags=["demo"]
before = {"Porto": (1, 6), "Lyon": (6, 12)}
after = {"Porto": (1, 4), "Faro": (4, 6), "Lyon": (6, 12)}
colours = {"Porto": BLUE, "Faro": ORANGE, "Lyon": GREEN}
drawn, (axis,) = figure(height=1.9)
for row, versions in enumerate((after, before)):
    for city, (start, end) in versions.items():
        axis.hlines(row, start, end, color=colours[city], linewidth=16)
        axis.text(start + 0.1, row, f"{city} {start} to {end}", va="center", color="white")
axis.set_ylim(-0.6, 1.6)
axis.set_yticks([0, 1], ["after the late record", "before"])
axis.set_title("“Faro since April” arrives in autumn", loc="left")
axis.set_xlabel("month")
show(drawn)

# %% [markdown]
# The late version ends where the next one begins, and the one before it ends earlier than was thought. Nothing about today changes.
#
# So think of it as a **timeline per key**, not as a current row that is replaced. The versions of the keys in the batch and the batch's records, put in
# order of time, give the whole history of these keys: leave out the *records* that only repeat what is valid at their time, and each version ends where
# the next one begins. One MERGE on key *and* `valid_from` then brings the table there. A record that was applied before finds its own version in its
# place, so a rerun has nothing to do, and a MERGE with nothing to do writes no commit.
#
# Leave out records, not versions. A late record may say what the *next* version says already: Nice since May, and only now somebody adds that it was
# since March. Compared with what comes before it, the version of May is now a repetition. Drop it from the MERGE's source, and its row in the table is
# matched by nothing and keeps its old end: two rows are current. Either it stays, as a second version with the same details (so we do it here), or the
# same MERGE has to delete it.
#
# One limit remains. A record that repeats what is known leaves no trace in the table. If a late one lands before it, the table can't know that the old
# details were confirmed afterwards. Where that matters, keep every record in bronze and build the dimension from there.
#
# **On Databricks.** MERGE is the same. `create_auto_cdc_flow(..., stored_as_scd_type=2)` in a pipeline keeps such a table by itself, late records
# included (next lesson). Deletion vectors, which let MERGE mark single rows as replaced instead of copying whole files, are on for new tables there; in
# open source a table property turns them on.
#
# **Read on:** [Delta: MERGE](https://docs.delta.io/latest/delta-update.html), [Databricks: MERGE
# INTO](https://docs.databricks.com/aws/en/sql/language-manual/delta-merge-into).

# %% [markdown]
# ### Step 2a.1: SCD type 2 with one MERGE
#
# Four batches of household records are waiting in `household_changes`, one per month. From `effective_at` on, the household has these details:

# %%
lab.load("households")
household_changes = dimension.lay_changes(lab)
household_changes.groupBy("batch").agg(F.count("*").alias("records"), F.countDistinct("household_id").alias("households")).orderBy("batch").show()
household_changes.printSchema()


# %% [markdown]
# There are new households, changed ones, some that went back to what they were, records that repeat what is known, late records (some before the
# *first* version that is known, some with the details of the version after them), exact duplicates, and records that a later batch delivers again. Some
# households have several records in a batch. Nulls are values: unknown is a detail too. **Batch 4 is a rerun**: after a crash at the source it holds
# all of batch 3 once more, and a few records behind it.
#
# This function lays the dimension as it begins: every known household with one version.

# %%
def new_dimension():
    lab.drop("household_history")
    spark.sql("""
        CREATE TABLE household_history TBLPROPERTIES ('delta.enableDeletionVectors' = 'true') AS
        SELECT household_id, address, income, household_size,
               TIMESTAMP'2026-01-01' AS valid_from, CAST(null AS TIMESTAMP) AS valid_to, true AS is_current
        FROM households
    """)


new_dimension()
print(f"{spark.table('household_history').count():,} versions to begin with")


# %% [markdown]
# **Produce** the table `household_history`: begin with `new_dimension()`, then apply batches 1 to 4 in this order, **one MERGE each**.
#
# * A record starts a version at its `effective_at`, unless its details (address, income, household_size) are those that are valid at that time.
# * A late record goes to its place: the version before it ends there, and it ends where the next one begins. A version that is in the table stays
#   there, even if its details are now those of the version before it.
# * `valid_to` is the next version's `valid_from`; the last version has null, and `is_current` is true for it alone.
#
# **Checked:** the intervals; the versions of every household; that the history after the laying is four MERGE commits, each of which inserted just the
# new versions, updated just the rows whose end moved, and touched no other (`DESCRIBE HISTORY`, `operationMetrics`); that the last one did nothing for
# the records of batch 3.

# %% tags=["answer:2a.1"]
# Lay the dimension, apply batches 1 to 4.
### BEGIN SOLUTION
def apply_batch(number):
    return spark.sql(f"""
        MERGE INTO household_history AS t
        USING (
            WITH records AS (
                SELECT household_id, address, income, household_size, effective_at AS valid_from
                FROM household_changes WHERE batch = {number}
            ),
            events AS (
                SELECT household_id, address, income, household_size, valid_from, true AS there FROM household_history
                WHERE household_id IN (SELECT household_id FROM records)
                UNION ALL
                SELECT DISTINCT household_id, address, income, household_size, valid_from, false
                FROM records LEFT ANTI JOIN household_history USING (household_id, valid_from)
            ),
            compared AS (
                SELECT *, struct(address, income, household_size) AS details, lag(struct(address, income, household_size)) OVER
                    (PARTITION BY household_id ORDER BY valid_from) AS details_before
                FROM events
            )
            SELECT household_id, address, income, household_size, valid_from,
                   lead(valid_from) OVER (PARTITION BY household_id ORDER BY valid_from) AS valid_to
            FROM compared WHERE there OR NOT details <=> details_before
        ) AS s
        ON t.household_id = s.household_id AND t.valid_from = s.valid_from
        WHEN MATCHED AND NOT t.valid_to <=> s.valid_to
            THEN UPDATE SET valid_to = s.valid_to, is_current = s.valid_to IS NULL
        WHEN NOT MATCHED
            THEN INSERT (household_id, address, income, household_size, valid_from, valid_to, is_current)
            VALUES (s.household_id, s.address, s.income, s.household_size, s.valid_from, s.valid_to, s.valid_to IS NULL)
    """)


new_dimension()
for number in (1, 2, 3, 4):
    done = apply_batch(number).first()
    print(f"batch {number}: {done.num_inserted_rows:>3} versions inserted, {done.num_updated_rows:>3} with another end")
### END SOLUTION

# %% tags=["check:2a.1"]
check("2a.1")

# %% [markdown]
# ## Lesson 2: Change data capture
#
# Why: copying a database's table every night is slow, misses what came and went during the day, and can't see deletes. *Change data capture* (CDC)
# reads the database's own log instead: every insert, update and delete, in order, with a number that says which came first. Debezium and the cloud
# vendors' replication services deliver such changes as files or messages.
#
# The order is in the numbers, not in the delivery. What you can count on is little:
#
# | what happens on the way | what goes wrong if you apply changes as they come | what helps |
# |---|---|---|
# | an older change arrives after a newer one | the row falls back to an old state | apply a change only if its **sequence** is higher than that of the row |
# | an older update arrives after a delete | the deleted row is back, forever | remember deletes with their sequence: **tombstones** |
# | a change arrives twice, or a batch is applied again after a crash | duplicates | MERGE by key, and the same comparison of sequences |
# | a change has no key | it matches nothing, is inserted, and again with every rerun | keep it apart |
#
# Two layers keep this manageable. **Bronze** keeps every change as it came, duplicates and broken ones too: it is what you rebuild from. **Silver**
# applies them.
#
# Bronze is a **streaming table** of a declarative pipeline: a function that returns a *stream*, under `@dp.table`. Each run of the pipeline reads the
# files that have come since the last one and appends their rows. (A materialized view is computed again, whole.) Where it stands is in a checkpoint in
# the pipeline's storage folder. In Spark 4.2 the format is left out here too: the server's default is Delta. `run_pipeline(spec)` runs Spark's own
# command, `spark-pipelines run --spec <file>`, on the server of this notebook.
#
# For silver, Spark 4.2's pipelines do have a function `create_auto_cdc_flow`. It keeps type 1 only, and it wants a target whose format takes row-level
# operations through Spark's own interface; Delta brings its own MERGE, and the flow ends with `AUTOCDC_TARGET_DOES_NOT_SUPPORT_MERGE`. So
# `labs_lib.patterns.cdc` has the function with the main arguments of the one on Databricks, over a stream with foreachBatch and MERGE, for types 1 and 2. Six
# changes for two customers show it:

# %% tags=["demo"]
lab.drop("feed")
drop_auto_cdc_flow("customers_now")
drop_auto_cdc_flow("customers_then")
schema = "id INT, city STRING, op STRING, seq INT"
spark.createDataFrame(
    [(1, "Porto", "insert", 1), (1, "Faro", "update", 4), (2, "Lyon", "insert", 2), (2, None, "delete", 5), (None, "Graz", "update", 3)], schema
).write.saveAsTable("feed")


def apply_feed(target, scd_type):
    return create_auto_cdc_flow(
        target=target,
        source="feed",
        keys=["id"],
        sequence_by="seq",
        apply_as_deletes="op = 'delete'",
        except_column_list=["op", "seq"],
        stored_as_scd_type=scd_type,
    )


print(apply_feed("customers_now", 1))
spark.table("customers_now").show()

# %% [markdown]
# Customer 1 is in Faro since change 4, customer 2 is gone, and the change without a key is in `customers_now__rejected`. `__sequence` is the flow's
# own: it says which change the row stands for.
#
# Now two stragglers arrive, which happened before: customer 1 moved to Lagos with change 3, and customer 2 to Nice with change 4.

# %% tags=["demo"]
spark.createDataFrame([(1, "Lagos", "update", 3), (2, "Nice", "update", 4)], schema).write.insertInto("feed")
print(apply_feed("customers_now", 1))
spark.table("customers_now").show()
spark.table("customers_now__tombstones").show()

# %% [markdown]
# Two changes were read, and none of them counts: for one there is a newer row, for the other a tombstone. The same feed as type 2, which keeps both
# where they belong:

# %% tags=["demo"]
apply_feed("customers_then", 2)
spark.table("customers_then").orderBy("id", "__START_AT").show()

# %% [markdown]
# `__START_AT` and `__END_AT` are sequence values, and a row whose end is null is valid now. Customer 2 has none: it was deleted by change 5.
#
# Why a crash does no harm: the stream's checkpoint notes a batch as done after it has been applied, so a crash in between means that the batch is
# applied **again**. Tombstones are written before the target, every MERGE compares sequences, and a second time finds everything in its place. You can
# build this yourself with `foreachBatch`: type 1 takes three short MERGEs (for what is rejected, for the tombstones, for the target), type 2 one long
# one. They are in `labs_lib/cdc_batch.py`.
#
# **On Databricks.** The same call stands *in the pipeline's file* and declares a flow, which runs with the pipeline:
#
# ```python
# dp.create_streaming_table("silver_households")
# dp.create_auto_cdc_flow(
#     target="silver_households",
#     source="bronze_changes",
#     keys=["household_id"],
#     sequence_by="sequence",
#     apply_as_deletes="operation = 'DELETE'",
#     except_column_list=["operation", "sequence"],
#     stored_as_scd_type=1,
# )
# ```
#
# | here | there |
# |---|---|
# | runs when it is called, and waits | declares a flow; the pipeline runs bronze and silver in their order |
# | makes the target | `create_streaming_table` declares it first |
# | `__sequence` in the target, tombstones in a table beside it | both are kept behind the table that you see |
# | tombstones stay for good | for `pipelines.cdc.tombstoneGCThresholdInSeconds`: set it to more than your changes can be late |
# | a null in a key or in the sequence: to `<target>__rejected` | null sequences are not supported; filter them before, with an expectation |
# | `ignore_null_updates`, `apply_as_truncates`, `once` are refused | supported; truncates for type 1 only |
# | not there | lists of columns beside `ignore_null_updates`, `columns_to_update`, `system_sequence_by` |
# | `keys` as strings | also as columns |
#
# `APPLY CHANGES` and `apply_changes` are the older names of the same thing. Much code that you find under them does not run: the call is no query and
# does not belong in a function under `@dp.table` that should return a DataFrame; `source` is the *name* of a table or view, not a union of DataFrames;
# `apply_as_deletes` is a condition on the rows of that source, not a DataFrame of deletes. Inserts, updates and deletes stay in one feed. Splitting it
# by operation loses the order among them, and ordering by a timestamp that two changes can share leaves it to chance who wins.
#
# **Read on:** [Spark: declarative pipelines](https://spark.apache.org/docs/latest/declarative-pipelines-programming-guide.html), [Databricks: AUTO
# CDC](https://docs.databricks.com/aws/en/ldp/cdc),
# [`create_auto_cdc_flow`](https://docs.databricks.com/aws/en/ldp/developer/ldp-python-ref-apply-changes), [Spark:
# foreachBatch](https://spark.apache.org/docs/latest/streaming/apis-on-dataframes-and-datasets.html#using-foreach-and-foreachbatch).

# %% [markdown]
# ### Step 2a.2: CDC with a declarative pipeline
#
# A database of households gives up its changes as JSON files, in two deliveries. `captured.deliver(lab, 1)` puts the files of the first one into a
# folder and returns it; `captured.deliver(lab, 2)` adds those of the second. Each line is a change, with the columns of `captured.SCHEMA`. A delete has
# a key and nothing else.

# %%
landing = captured.deliver(lab, 1)
print(captured.SCHEMA, "\n")
print(f"{len(list(landing.glob('*.json')))} files; the first begins like this:")
for line in sorted(landing.glob("*.json"))[0].read_text().splitlines()[:5]:
    print(line)


# %% [markdown]
# A stream's checkpoint and its table belong together: who deletes one and keeps the other reads everything twice or never. This forgets both, for
# bronze and for silver:

# %%
def start_over():
    lab.drop("bronze_changes")
    shutil.rmtree(lab.folder / "pipelines" / "household_changes", ignore_errors=True)
    drop_auto_cdc_flow("silver_households")


# %% [markdown]
# **Produce**, beginning with `start_over()` and the first delivery:
# 1. a pipeline `household_changes` (`write_pipeline(lab, "household_changes", source)`) whose streaming table `bronze_changes` holds the lines of all
#    files, with the columns of `captured.SCHEMA`; put its Python file into `bronze_file` (`write_pipeline(...).file`);
# 2. the pipeline's run over the first delivery, then `silver_households` made from it: per household the `address`, `income` and `household_size` of
#    the newest change, nothing of the deleted ones;
# 3. the second delivery, and both run again.
#
# **Checked:** that the file defines a streaming table; that bronze holds each delivered line once; that silver equals what the database holds in the
# end, with the deleted, the out-of-order and the keyless changes looked at one by one; that both tables grew in two runs, the second of which took in
# only what was new (stream commits in bronze, MERGE commits in silver).

# %% tags=["answer:2a.2"]
# Write the pipeline for bronze_changes, run it and the flow to silver_households for each delivery; put the pipeline's file into bronze_file.
### BEGIN SOLUTION
start_over()
landing = captured.deliver(lab, 1)
source = f"""
from pyspark import pipelines as dp
from pyspark.sql import SparkSession

spark = SparkSession.active()


@dp.table
def bronze_changes():
    return spark.readStream.schema("{captured.SCHEMA}").json("{landing}")
"""
bronze = write_pipeline(lab, "household_changes", source)
bronze_file = bronze.file


def run_both():
    run_pipeline(bronze.spec)
    applied = create_auto_cdc_flow(
        target="silver_households",
        source="bronze_changes",
        keys=["household_id"],
        sequence_by="sequence",
        apply_as_deletes="operation = 'DELETE'",
        except_column_list=["operation", "sequence"],
    )
    print(f"{applied.changes:>3} changes applied; silver has {spark.table('silver_households').count()} households")


run_both()
captured.deliver(lab, 2)
run_both()
### END SOLUTION

# %% tags=["check:2a.2"]
check("2a.2")

# %% [markdown]
# ## Lesson 3: Streaming aggregation, windows and watermarks
#
# Why: last night brought four thousand sales lines, and the job reads four hundred million older ones to add those up. **Structured Streaming** reads
# only what is new. A *checkpoint* folder remembers which input has been processed, so a job that runs once a night, or fails in the middle, goes on
# where it stood. Streaming does not have to mean "always on": `trigger(availableNow=True)` processes what is there and ends. You schedule it like any
# batch job.
#
# The feed of this exercise: four nights, one file of JSON lines each night, with what *arrived* that day. `event_time` is when the line was sold.

# %%
example = sales_feed(lab, "example")
example.deliver(1)
spark.read.schema(example.schema).json(str(example.folder)).orderBy("line_id").show(4)

# %% [markdown]
# The two times differ. Most lines arrive within minutes, some tills are off the net for a day:

# %% tags=["demo"]
example.deliver(2)
example.deliver(3)
arrived = spark.read.schema(example.schema).json(str(example.folder))
hours_late = (F.unix_timestamp("arrived_at") - F.unix_timestamp("event_time")) / 3600
classes = F.when(hours_late < 0.25, "under 15 minutes").when(hours_late < 2, "to 2 hours").when(hours_late < 24, "to 24 hours").otherwise("more")
counted = {row.late: row["count"] for row in arrived.groupBy(classes.alias("late")).count().collect()}
bars(
    {name: counted.get(name, 0) for name in ("under 15 minutes", "to 2 hours", "to 24 hours", "more")},
    "Lines of three nights by how late they arrived",
    "lines",
    highlight=["to 24 hours", "more"],
)

# %% [markdown]
# **Windows.** `F.window("event_time", "1 hour")` puts each line into one hour: a *tumbling* window. `F.window("event_time", "1 hour", "15 minutes")`
# makes *sliding* ones, an hour long, one beginning every quarter of an hour: each line is in four of them, and so the aggregation has four times as
# much to remember.

# %% tags=["demo"]
for name, window in {
    "tumbling": F.window("event_time", "1 hour"),
    "sliding": F.window("event_time", "1 hour", "15 minutes"),
}.items():
    groups = arrived.groupBy(window.alias("window"), "store_id").agg(F.count("*").alias("lines"))
    total = groups.agg(F.count("*").alias("groups"), F.sum("lines").alias("lines")).first()
    print(f"{name:<9} {total.groups:>7,} groups, lines counted {total.lines:,}")

# %% [markdown]
# **State.** Between runs a streaming aggregation keeps its groups in a *state store* beside the checkpoint: when a line comes for an hour that is there
# already, Spark adds to it. Unless something says when an hour is finished, it keeps every hour for ever. The store is cut into as many parts as there
# are shuffle partitions when the stream starts for the first time; the checkpoint keeps that number, so choose it before. Each part writes files in
# every micro-batch: few hours and stores need few parts.

# %%
spark.conf.set("spark.sql.shuffle.partitions", 2)

# %% [markdown]
# **Watermark.** `withWatermark("event_time", "2 hours")` says it. The watermark is a point in event time:
#
# > watermark = the largest event time seen in *earlier* micro-batches − the delay
#
# It never goes back. When it has passed the **end** of a window, that window is closed: it leaves the state, and lines that come for it afterwards are
# dropped.
#
# | output mode | writes | with a watermark | into a Delta table |
# |---|---|---|---|
# | `append` | a window once, when it is closed | closes windows, drops late lines | yes. What is written never changes |
# | `update` | each changed window, after every micro-batch | closes windows, drops late lines | only by `foreachBatch` and MERGE |
# | `complete` | all windows, after every micro-batch | **is ignored**: nothing is closed, nothing is dropped | yes, overwriting the whole table each time |
#
# Much example code, including the text that this course follows, combines a watermark with `complete`. That is a stream whose state grows without end.
#
# `run_stream` runs a stream over what is there, waits for its end, and returns one row per micro-batch from the query's own progress
# (`query.recentProgress`; through Spark Connect the input rows are in its `sources`). It keeps the checkpoint under a name: run it again and it goes
# on; `forget_stream` begins anew. Here, windows of six hours over all stores:

# %% tags=["demo"]
lab.drop("six_hours")
forget_stream(lab, "six_hours")
example = sales_feed(lab, "example")
lines = spark.readStream.schema(example.schema).json(str(example.folder))
six_hours = (
    lines.withWatermark("event_time", "2 hours")
    .groupBy(F.window("event_time", "6 hours").alias("window"))
    .agg(F.count("*").alias("lines"))
    .select(F.col("window.start").alias("window_start"), "lines")
)
runs = []
for night in (1, 2):
    example.deliver(night)
    runs.append(run_stream(lab, "six_hours", six_hours.writeStream.outputMode("append"), table="six_hours"))
example_progress = pd.concat(runs, ignore_index=True)
example_progress

# %% tags=["demo"]
spark.table("six_hours").orderBy("window_start").show()

# %% [markdown]
# Read the two together. Each run has two micro-batches: one with the night's lines, and one *without data*, which Spark adds because the watermark has
# moved on and windows can be closed. The first micro-batch of all has no watermark yet: it is at 1970. The last window of the second night is not in
# the table. It is in the state, and waits for a line that moves the watermark past its end. In append mode the newest result is always missing: that is
# the price of never having to correct it.
#
# One thing to watch in production: the watermark believes the largest time it sees. One till whose clock is a day ahead closes a day's windows for all
# others. Filter impossible times before `withWatermark`.
#
# **On Databricks.** The same code runs there. Auto Loader (`format("cloudFiles")`) takes the place of the file source: it does not have to list the
# folder. Serverless jobs accept no trigger but `availableNow`; `trigger(once=True)` in older code is deprecated. State is in RocksDB there by default
# since runtime 17.3, which bears more of it than the heap does. In open source and on older runtimes `spark.sql.streaming.stateStore.providerClass`
# chooses it.
#
# **Read on:** [Spark: window operations and
# watermarks](https://spark.apache.org/docs/latest/streaming/apis-on-dataframes-and-datasets.html#window-operations-on-event-time), [Databricks:
# watermarks](https://docs.databricks.com/aws/en/structured-streaming/watermarks), [Databricks:
# triggers](https://docs.databricks.com/aws/en/structured-streaming/triggers).

# %% [markdown]
# ### Step 2a.3: Incremental windowed aggregation with a watermark
#
# A dashboard shows the sales of each store and hour. Four nightly runs have to bring it up to date, each reading only its own night's file.
#
# `feed = sales_feed(lab, "hourly_sales")` empties a folder of that name for the files. `feed.arrivals()` then delivers the nights one after the other:
# the body of `for night in feed.arrivals():` is the nightly job. (Without a loop, `feed.deliver(night)` brings one file.)
#
# **Produce**
# * the table `hourly_sales`: for each hour and store `window_start`, `store_id`, `lines` (how many) and `sales` (sum of `sales_value`); tumbling
#   windows of **1 hour**, a watermark of **2 hours**, append mode, **one run per night**;
# * `hourly_progress`: the rows that `run_stream` returned for the four runs, in one pandas DataFrame.
#
# Begin with an empty folder, no checkpoint and no table (`sales_feed`, `forget_stream`, `lab.drop`), so that the cell can run twice.
#
# **Checked:** the rows of the table against Spark's rule, applied to the same four files; its history; the watermark and the rows in state of each
# micro-batch.

# %% tags=["answer:2a.3"]
# Run the stream once for each night into hourly_sales; collect what run_stream returns in hourly_progress.
### BEGIN SOLUTION
feed = sales_feed(lab, "hourly_sales")
forget_stream(lab, "hourly_sales")
lab.drop("hourly_sales")


def hourly(feed, delay):
    return (
        spark.readStream.schema(feed.schema)
        .json(str(feed.folder))
        .withWatermark("event_time", delay)
        .groupBy(F.window("event_time", "1 hour").alias("window"), "store_id")
        .agg(F.count("*").alias("lines"), F.sum("sales_value").alias("sales"))
        .select(F.col("window.start").alias("window_start"), "store_id", "lines", "sales")
    )


runs = []
for night in feed.arrivals():
    runs.append(run_stream(lab, "hourly_sales", hourly(feed, "2 hours").writeStream.outputMode("append"), table="hourly_sales"))
hourly_progress = pd.concat(runs, ignore_index=True)
print(hourly_progress.to_string(index=False))
### END SOLUTION

# %% tags=["check:2a.3"]
check("2a.3")

# %% [markdown]
# ## Lesson 4: Late data
#
# Which late lines are dropped? Not simply those that are later than the delay. A line is dropped **if the window it belongs to was closed when it
# came**, and that depends on how far *other* lines had moved the watermark:
#
# | a line that comes | its window | is |
# |---|---|---|
# | late, before newer lines moved the watermark past its window's end | still in state | counted |
# | in the same micro-batch as those newer lines | still in state: the watermark is of earlier micro-batches | counted, however late it is |
# | after its window was closed | gone | dropped, without an error |
#
# So a delay is a promise in one direction: a line that is less late than the delay is never dropped. A later one may be. (If the next micro-batch has
# data, so that none without data ran in between, Spark even goes by the watermark of the micro-batch before: since 3.4 a closed window still takes
# lines in the micro-batch that writes it.)
#
# Nothing fails when lines are dropped. The only sign is a number in the query's progress, `numRowsDroppedByWatermark` (here the column `dropped`). Its
# name misleads in two ways:
#
# * For an aggregation it counts **groups, not lines**. Spark adds up each micro-batch before it looks into the state, and what it then throws away is
#   the partial sum of a window and store, whether one line went into it or fifty.
# * It counts them **per micro-batch**. A group whose lines come late on two nights counts twice.
#
# The earlier example shows it: the third night brings lines for windows that are closed. Windows of six hours over all stores are few, so many lines
# hide behind a small number:

# %% tags=["demo"]
closed_until = pd.Timestamp(example_progress["watermark"].iloc[-1])
example.deliver(3)
third = run_stream(lab, "six_hours", six_hours.writeStream.outputMode("append"), table="six_hours")
came_late = spark.read.schema(example.schema).json(str(example.folder / "night-3.json")).where(F.window("event_time", "6 hours")["end"] <= F.lit(closed_until))
print(f"dropped according to the progress: {third['dropped'].sum()}")
print(f"lines of the third night whose window was closed: {came_late.count()}")

# %% [markdown]
# To know how many *lines* are missing, count them: those in the files that belong to closed windows, minus those that the table has. In production
# count per day and alert on it; `dropped` above zero is the cheap first sign.
#
# A longer delay keeps more. It costs twice: windows stay open, so the **state** is larger in every micro-batch, and results come **later** by the same
# delay.
#
# **On Databricks.** The streaming tab of the Spark UI and `StreamingQueryListener` show the same figures; declarative pipelines write them to their
# event log. For corrections after the fact keep the raw lines in a bronze table and recompute closed windows from it: a watermark decides what the
# *stream* forgets, not what you have to delete.
#
# **Read on:** [Spark: monitoring streaming
# queries](https://spark.apache.org/docs/latest/streaming/apis-on-dataframes-and-datasets.html#monitoring-streaming-queries), [Databricks: monitoring
# queries](https://docs.databricks.com/aws/en/structured-streaming/stream-monitoring).

# %% [markdown]
# ### Step 2a.4: Late data
#
# How much did the watermark of 2 hours lose in 2a.3, and what would one of 24 hours save?
#
# **Produce**
# * the table `hourly_sales_long`: as `hourly_sales`, with a watermark of **24 hours**; again one run per night, with a feed of its own
#   (`sales_feed(lab, "hourly_sales_long")`);
# * `late`, a pandas DataFrame or list of dicts with a row for each of both delays: `delay_hours` (2 and 24), `dropped` (the progress's count, summed
#   over all micro-batches), `lost_lines` (lines in the files that belong to **closed windows** and are not in the table: a window is closed if its end
#   is at or before the last watermark), `state_rows` (rows in state after the last run: groups that are still open).
#
# **Checked:** the corrected table, with every line that the longer watermark admits; its history; all six figures.

# %% tags=["answer:2a.4"]
# Run the longer watermark into hourly_sales_long and put two rows into late.
### BEGIN SOLUTION
feed = sales_feed(lab, "hourly_sales_long")
forget_stream(lab, "hourly_sales_long")
lab.drop("hourly_sales_long")
runs = []
for night in feed.arrivals():
    runs.append(run_stream(lab, "hourly_sales_long", hourly(feed, "24 hours").writeStream.outputMode("append"), table="hourly_sales_long"))
long_progress = pd.concat(runs, ignore_index=True)

delivered = spark.read.schema(feed.schema).json(str(feed.folder)).select(F.window("event_time", "1 hour")["end"].alias("window_end")).toPandas()
late = []
for hours, table, progressed in ((2, "hourly_sales", hourly_progress), (24, "hourly_sales_long", long_progress)):
    closed_until = pd.Timestamp(progressed["watermark"].iloc[-1])
    should_be = int((delivered["window_end"] <= closed_until).sum())
    late.append(
        {
            "delay_hours": hours,
            "dropped": int(progressed["dropped"].sum()),
            "lost_lines": should_be - spark.table(table).agg(F.sum("lines")).first()[0],
            "state_rows": int(progressed["state_rows"].iloc[-1]),
        }
    )
print(pd.DataFrame(late).to_string(index=False))
### END SOLUTION

# %% tags=["check:2a.4"]
check("2a.4")

# %% [markdown]
# Which delay is right? `replay` applies Spark's rule to the nights in Python, without running a stream, so many delays can be tried before one is
# chosen. (The course's tests hold it against the engine.) Lost lines fall, state rises:

# %% tags=["demo"]
nights = [pd.read_json(example.deliver(night), lines=True, convert_dates=["event_time"]) for night in range(1, 5)]
delays = [1, 2, 4, 8, 12, 18, 24, 36, 48]
tried = [replay(nights, pd.Timedelta(hours=hours)) for hours in delays]
drawn, (left, right) = figure(width=8.5, columns=2)
left.plot(delays, [each.dropped_lines for each in tried], color=ORANGE, marker="o", label="lost lines")
left.plot(delays, [each.dropped for each in tried], color=BLUE, marker="o", label="dropped groups")
left.set_title("What the watermark drops", loc="left")
left.legend(frameon=False)
right.plot(delays, [each.most_state for each in tried], color=ORANGE, marker="o", label="most in a micro-batch")
right.plot(delays, [each.open_groups for each in tried], color=BLUE, marker="o", label="after the last run")
right.set_title("Groups in state", loc="left")
right.legend(frameon=False)
for axis in (left, right):
    axis.set_xlabel("delay of the watermark, hours")
    axis.set_ylim(bottom=0)
show(drawn)

# %% [markdown]
# ## Lesson 5: Incremental or full
#
# Why: a full recomputation is simple and always right. Its cost grows with the history, though nothing but last night has changed. After *n* equal
# nights it has read 1 + 2 + … + *n* nights, an incremental job *n*.
#
# An aggregate can be kept incrementally without a watermark, if the **table itself is the state**: add each micro-batch up, then MERGE the sums into
# the table. This works for what can be added (counts, sums, minimum and maximum as long as nothing is deleted). For distinct counts or medians,
# recompute the touched days instead.
#
# `foreachBatch` hands each micro-batch to a function as an ordinary DataFrame. Here with sums per day over all stores, for two nights:

# %% tags=["demo"]
spark.sql("CREATE OR REPLACE TABLE per_day (day DATE, lines LONG)")
forget_stream(lab, "per_day")


def add_to_days(batch, batch_id):
    sums = batch.selectExpr("date(event_time) AS day").groupBy("day").count()
    sums.createOrReplaceTempView("sums")
    batch.sparkSession.sql(
        "MERGE INTO per_day USING sums ON per_day.day = sums.day "
        "WHEN MATCHED THEN UPDATE SET lines = per_day.lines + sums.count "
        "WHEN NOT MATCHED THEN INSERT (day, lines) VALUES (sums.day, sums.count)"
    )


example = sales_feed(lab, "example")
lines = spark.readStream.schema(example.schema).json(str(example.folder))
for night in (1, 2):
    example.deliver(night)
    run = run_stream(lab, "per_day", lines.writeStream.foreachBatch(add_to_days))
    metrics = spark.sql("DESCRIBE HISTORY per_day LIMIT 1").first().operationMetrics
    print(
        f"night {night}: {run['input_rows'].sum():,} lines read, "
        f"{metrics['numTargetRowsInserted']} days inserted, {metrics['numTargetRowsUpdated']} updated"
    )

# %% [markdown]
# The function runs in a Python process on the server: it sees what it uses as it was when the stream started, and its session is `batch.sparkSession`.
# The second night updated the first day as well: late lines find their day, however late they are.
#
# Drawbacks:
#
# * **A replay adds twice.** If the job dies after the MERGE and before the checkpoint notes it, the micro-batch comes again. Step 2b.4 makes such
#   writes idempotent.
# * **A mistake stays.** When the logic changes, the history has to be computed anew: keep the full job, and run it then.
# * **MERGE reads the target.** That is small as long as the aggregate is small beside the lines.
#
# To compare the two, take figures from metrics. Rows: the stream's progress has `input_rows`; for a batch job `measure(lambda: ...)` returns what the
# engine did, and `rows_read(run)` adds up what its file scans put out. Bytes: `measure` takes a stream too, and `input_bytes` of what it returns is
# what all stages read, the target of the MERGE and Delta's log included. Here for a third night:

# %% tags=["demo"]
example.deliver(3)
micro_batches = []
streamed = measure(lambda: micro_batches.append(run_stream(lab, "per_day", lines.writeStream.foreachBatch(add_to_days))))
print(f"lines: {micro_batches[-1]['input_rows'].sum():,}")
file_size = (example.folder / "night-3.json").stat().st_size
print(f"bytes: {streamed.input_bytes / file_size:.1f} times the size of the night's file")

# %% [markdown]
# What MERGE and the log add is small here. Where the target is large beside the night's file, it is not, and incremental may read more than it saves.
#
# **On Databricks.** On serverless pipelines a materialized view chooses by itself: where the query allows it, a refresh reads only what changed,
# otherwise it recomputes; the pipeline's event log says which it was and why. On classic compute it always recomputes.
#
# **Read on:** [Spark: foreachBatch](https://spark.apache.org/docs/latest/streaming/apis-on-dataframes-and-datasets.html#foreachbatch), [Databricks:
# incremental refresh](https://docs.databricks.com/aws/en/ldp/incremental-refresh/).

# %% [markdown]
# ### Step 2a.5: Incremental against full reprocessing
#
# Sales per day and store, kept in both ways over the four nights of one feed, `feed = sales_feed(lab, "daily")`.
#
# **Produce**
# * the table `daily_incremental` with `day` (the date of `event_time`), `store_id`, `lines`, `sales`: kept by a stream that, in one run per night,
#   MERGEs that night's sums into it;
# * the table `daily_full` with the same columns, written whole (mode `overwrite`) from all files in the folder after each night;
# * `cost`, a pandas DataFrame or list of dicts, a row per night: `night` (1 to 4), `incremental_rows` (lines that the stream read that night, from its
#   progress), `full_rows` (lines that the full job read that night, by `rows_read` of its measured run), `incremental_bytes` and `full_bytes`
#   (`input_bytes` of each one's measured run).
#
# **Checked:** that both tables hold all lines and are equal; from their histories, that each was made in its own way; the rows that each way read, and
# the bytes: each file once, and little besides.

# %% tags=["answer:2a.5"]
# Keep daily_incremental and daily_full night by night, and put a row per night into cost.
### BEGIN SOLUTION
feed = sales_feed(lab, "daily")
forget_stream(lab, "daily_incremental")
lab.drop("daily_incremental", "daily_full")
spark.sql("CREATE TABLE daily_incremental (day DATE, store_id INT, lines LONG, sales DOUBLE)")


def per_day(frame):
    return frame.groupBy(F.to_date("event_time").alias("day"), "store_id").agg(
        F.count("*").alias("lines"), F.sum("sales_value").alias("sales")
    )


def merge_night(batch, batch_id):
    per_day(batch).createOrReplaceTempView("night_sums")
    batch.sparkSession.sql(
        "MERGE INTO daily_incremental AS t USING night_sums AS s ON t.day = s.day AND t.store_id = s.store_id "
        "WHEN MATCHED THEN UPDATE SET lines = t.lines + s.lines, sales = t.sales + s.sales "
        "WHEN NOT MATCHED THEN INSERT *"
    )


new_lines = spark.readStream.schema(feed.schema).json(str(feed.folder))
cost = []
for night in feed.arrivals():
    stream = new_lines.writeStream.foreachBatch(merge_night)
    progressed = []
    stream_run = measure(lambda: progressed.append(run_stream(lab, "daily_incremental", stream)))
    everything = per_day(spark.read.schema(feed.schema).json(str(feed.folder)))
    full_run = measure(lambda: everything.write.mode("overwrite").saveAsTable("daily_full"))
    cost.append(
        {
            "night": night,
            "incremental_rows": int(progressed[0]["input_rows"].sum()),
            "full_rows": rows_read(full_run),
            "incremental_bytes": stream_run.input_bytes,
            "full_bytes": full_run.input_bytes,
        }
    )
### END SOLUTION

# %% tags=["check:2a.5"]
check("2a.5")


# %% [markdown]
# With your figures: on the first night the two ways read the same lines, and the incremental one a few bytes more, for the MERGE reads its target and
# the log. From the night at the dotted line on, full costs more. The one line is flat and the other rises; added up, the gap grows with the square of
# the history.

# %% tags=["demo"]
def plot_cost(cost):
    by_night = pd.DataFrame(cost).sort_values("night")
    lines_read = by_night[["incremental_rows", "full_rows"]]
    megabytes = by_night[["incremental_bytes", "full_bytes"]] / 1e6
    drawn, panels = figure(width=9.5, columns=3)
    for axis, title, figures in zip(panels, ("Lines per night", "Megabytes per night", "Lines so far"), (lines_read, megabytes, lines_read.cumsum()), strict=True):
        for name, label, colour in zip(figures.columns, ("incremental", "full"), (BLUE, ORANGE), strict=True):
            axis.plot(by_night["night"], figures[name], color=colour, marker="o", label=label)
        axis.set_title(title, loc="left")
        axis.set_xlabel("night")
        axis.set_xticks(list(by_night["night"]))
        axis.set_ylim(bottom=0)
        part = min((night for night, more in zip(by_night["night"], figures.iloc[:, 1] > figures.iloc[:, 0], strict=True) if more), default=None)
        if part is not None:
            axis.axvline(part, color=GREY, linestyle=":", linewidth=1)
            axis.text(part + 0.06, figures.to_numpy().max() * 0.94, "full costs more", color="dimgray", fontsize=8)
    panels[0].legend(frameon=False, loc="lower right")
    show(drawn, digits=2)


if "cost" in globals():  # your answer; there is nothing to draw without it
    plot_cost(cost)

# %% [markdown]
# ## Exercise 2b: Resilient pipelines
#
# Five failures, each played for real: records that can't be used, data that breaks its rules, a service that goes down, a batch that is written twice,
# and a stream that is killed. In every step the question is the same: what does the table hold afterwards, and what would the person on call see?

# %% [markdown]
# ## Lesson 6: Bad records, and where they go
#
# A feed of a million lines has some that are bad. There are three things to do with them, and two are wrong. Stopping the pipeline makes a thousand
# good lines wait for one bad one. Dropping bad lines in silence loses data that nobody will ever miss until the books don't balance. What holds up is a
# **dead-letter table**: bad lines go there as they came, with the reason, the batch and the time, and the stream goes on. Good plus bad is the input,
# and that can be checked every day.
#
# Here is a feed to practise on: sales lines as JSON text, one file per arrival. Two arrivals are there.

# %%
stores = lab.load("stores")
feed = dirty_sales.lay(lab)
feed.deliver(1)
feed.deliver(2)
for line in (feed.folder / "arrival-1.json").read_text().splitlines()[:14]:
    print(line[:140])

# %% [markdown]
# **A cast is a decision about failure.** Since Spark 4 ANSI mode is on by default: a cast that can't be done raises an error, and one bad value ends
# the whole query. `try_cast` and `try_to_timestamp` give NULL instead, and a NULL can be asked about. Note *when* the error comes: not where the
# DataFrame is built, but where it runs.

# %% tags=["demo"]
quantities = spark.createDataFrame([("2",), ("two",)], "quantity STRING")
try:
    strict = quantities.select(F.col("quantity").cast("int"))
    print("built without complaint: nothing has run yet")
    strict.collect()
except Exception as error:
    print("failed when it ran:", str(error).split(".")[0])
quantities.selectExpr("quantity", "try_cast(quantity AS INT) AS number").show()

# %% [markdown]
# **What `from_json` does with bad text.** In its default mode, PERMISSIVE, it never raises. Fields that it can't read become NULL, and if the schema
# has a text column `_corrupt_record`, the whole line goes there. Look at the second and third line with a typed schema:

# %% tags=["demo"]
examples = [
    '{"line_id": 1, "quantity": 2}',
    '{"line_id": 2, "quantity": "two"}',
    '{"line_id": 3, "quan',
    '{"line_id": 4}',
]
texts = spark.createDataFrame([(text,) for text in examples], "value STRING")
typed = F.from_json("value", "line_id LONG, quantity INT, _corrupt_record STRING")
texts.select("value", typed.alias("it")).select("value", "it.*").show(truncate=False)

# %% [markdown]
# A wrong type and a line that was cut off look alike: both are corrupt. A missing key does not count as corrupt at all. To tell them apart, read every
# value as text first. Then a line that is no JSON object gives NULL, a missing key is a missing entry, and a wrong type shows in `try_cast`.

# %% tags=["demo"]
values = F.from_json("value", "MAP<STRING, STRING>")
texts.select(values.alias("it")).selectExpr("it", "it['quantity'] AS text", "try_cast(it['quantity'] AS INT) AS number").show(truncate=False)

# %% [markdown]
# `schema_of_json` infers a schema from one example, which is handy for a first look: `spark.sql("SELECT schema_of_json('{\"a\": 1}')")` gives
# `STRUCT<a: BIGINT>`. In a pipeline write the schema down: one that is inferred changes with the data, and a bad line is data too.
#
# **Why not try/except?** A recipe that you will find puts the whole body of a foreachBatch function into `try`, and in `except` writes the whole batch
# to an error table. Its `try` does catch something, as the write inside it is an action; around a transformation alone it would catch nothing, because
# nothing has run there. It goes wrong in other ways:
#
# * one bad line sends *every* line of its batch to the error table;
# * it catches a full disk or a lost executor too. The stream notes the batch as done and never tries again what would have worked a minute later;
# * what fails after the write (the recipe counts there, which runs the batch once more) puts the batch into both tables;
# * an append in the error path is no more repeatable than the one before it.
#
# So judge records as *data*, with expressions that can't raise, and let errors of the *system* end the stream: it goes on from its checkpoint.
#
# **A batch can come twice.** A stream notes a batch as done after its function has returned. If it dies in between, the next start runs the same batch
# again, with the same id and the same input. foreachBatch is *at least once*. Delta makes it exactly once: a write with the options `txnAppId` and
# `txnVersion` puts both into the commit, and a write whose version the table has seen from this application, or a later one, does nothing.

# %% tags=["demo"]
lab.drop("written_once")
spark.sql("CREATE TABLE written_once (id LONG)")
for attempt in ("first", "second"):
    spark.range(3).write.mode("append").option("txnAppId", "lesson").option("txnVersion", 7).saveAsTable("written_once")
    print(f"after the {attempt} write of version 7: {spark.table('written_once').count()} rows")

# %% [markdown]
# Two tables in one batch are two commits, so a crash can come between them. Each append needs the options, and what the second table gets must come out
# the same when the first one has its rows already.
#
# The price: the application's name belongs to one stream and its checkpoint. Delete the checkpoint and keep the table, and batch ids start again at 0:
# every write is taken for an old one, and does nothing, without an error.
#
# **On Databricks.** The option `badRecordsPath` writes bad lines and files to a folder; open source Spark ignores it, and it is not transactional. Auto
# Loader (`cloudFiles`) keeps what did not fit the schema in a column `_rescued_data`, which is the text-first idea built in. foreachBatch, `txnAppId`
# and `txnVersion` are the same.
#
# **Read on:** [Spark: JSON options](https://spark.apache.org/docs/latest/sql-data-sources-json.html), [Delta: idempotent writes in
# foreachBatch](https://docs.delta.io/latest/delta-streaming.html#idempotent-table-writes-in-foreachbatch), [Databricks: bad
# records](https://docs.databricks.com/aws/en/ingestion/bad-records).

# %% [markdown]
# ### Step 2b.1: Error handling with a dead-letter table
#
# A good line is a JSON object with the keys `line_id`, `store_id`, `product_id`, `quantity`, `sales_value` and `sold_at`. A bad one has a reason, the
# **first** of these that applies:
#
# | reason | the line |
# |---|---|
# | `not_json` | is no JSON object |
# | `missing_key` | lacks one of the six keys, or has null there |
# | `wrong_type` | `line_id`, `store_id`, `product_id` or `quantity` is no whole number, or `sales_value` no number |
# | `bad_time` | `sold_at` can't be read as a timestamp (good ones look like `2017-01-30T22:33:30Z`) |
# | `unknown_store` | `store_id` is not in the table `stores` |
# | `out_of_range` | `quantity` is outside 1 to 100, or `sales_value` outside 0 to 500 |
# | `duplicate` | a line with this `line_id` was accepted before, in this batch or an earlier one. Duplicates here are exact copies: it doesn't matter which one stays |
#
# Some lines were damaged, sent again corrected, and are good then.
#
# **Produce** with a stream that reads `feed.folder` as text, one file per micro-batch (`maxFilesPerTrigger`), with `trigger(availableNow=True)`, a
# checkpoint below `lab.folder / "checkpoints"`, and foreachBatch:
# * `sales_accepted`: `line_id` LONG, `store_id` INT, `product_id` INT, `quantity` INT, `sales_value` DOUBLE, `sold_at` TIMESTAMP, `batch_id` LONG;
# * `sales_dead_letter`: `raw` STRING (the line as it came), `reason` STRING, `batch_id` LONG, `failed_at` TIMESTAMP.
#
# Begin with the feed laid anew and arrivals 1 and 2 delivered, as above, with no tables and no checkpoint, so that the cell can run again. Run the
# stream. Then call `forget_last_batch(checkpoint)`, which takes back the note that the last batch is done, as a crash at that moment would, and
# `feed.deliver(3)`; run it again: it repeats that batch and goes on with the new file. Inside the function use `batch.sparkSession`, and name tables
# with their database (`lab.database`).
#
# **Checked:** columns and types; that every line is in one of the tables, once; the reasons; batch ids and times, and that a file is a batch; one
# commit for each batch in both histories; that each write may be repeated, because it names its batch as a transaction, merges, or replaces
# (`replaceWhere`) what it wrote before.

# %% tags=["answer:2b.1"]
# Write the function for foreachBatch, run the stream, take back a batch, and run it again.
### BEGIN SOLUTION
feed = dirty_sales.lay(lab)
feed.deliver(1)
feed.deliver(2)
checkpoint = lab.folder / "checkpoints" / "dirty_sales"
accepted, dead_letter, known_stores = (f"{lab.database}.{name}" for name in ("sales_accepted", "sales_dead_letter", "stores"))

REASON = """CASE
    WHEN it IS NULL THEN 'not_json'
    WHEN it['line_id'] IS NULL OR it['store_id'] IS NULL OR it['product_id'] IS NULL
      OR it['quantity'] IS NULL OR it['sales_value'] IS NULL OR it['sold_at'] IS NULL THEN 'missing_key'
    WHEN line_id IS NULL OR store_id IS NULL OR product_id IS NULL OR quantity IS NULL OR sales_value IS NULL THEN 'wrong_type'
    WHEN sold_at IS NULL THEN 'bad_time'
    WHEN known IS NULL THEN 'unknown_store'
    WHEN quantity NOT BETWEEN 1 AND 100 OR sales_value NOT BETWEEN 0 AND 500 THEN 'out_of_range'
END"""


def sort_lines(batch, batch_id):
    session = batch.sparkSession
    stores_known = session.table(known_stores).selectExpr("store_id", "true AS known")
    # Rows of this very batch may be there from a first try.
    before = session.table(accepted).where(F.col("batch_id") != batch_id).selectExpr("line_id", "true AS seen")
    parsed = batch.select(F.col("value").alias("raw"), F.from_json("value", "MAP<STRING, STRING>").alias("it")).selectExpr(
        "raw",
        "it",
        "try_cast(it['line_id'] AS LONG) AS line_id",
        "try_cast(it['store_id'] AS INT) AS store_id",
        "try_cast(it['product_id'] AS INT) AS product_id",
        "try_cast(it['quantity'] AS INT) AS quantity",
        "try_cast(it['sales_value'] AS DOUBLE) AS sales_value",
        "try_to_timestamp(it['sold_at']) AS sold_at",
    )
    judged = parsed.join(F.broadcast(stores_known), "store_id", "left").withColumn("reason", F.expr(REASON))
    numbered = judged.withColumn("copy", F.expr("row_number() OVER (PARTITION BY line_id, reason ORDER BY raw)")).join(before, "line_id", "left")
    sorted_lines = numbered.withColumn(
        "reason", F.expr("CASE WHEN reason IS NOT NULL THEN reason WHEN seen OR copy > 1 THEN 'duplicate' END")
    ).withColumn("batch_id", F.lit(batch_id).cast("long"))
    sorted_lines.persist()
    once = {"txnVersion": batch_id}
    good = sorted_lines.where("reason IS NULL").select(
        "line_id", "store_id", "product_id", "quantity", "sales_value", "sold_at", "batch_id"
    )
    good.write.mode("append").options(txnAppId="dirty_sales accepted", **once).saveAsTable(accepted)
    bad = sorted_lines.where("reason IS NOT NULL").select("raw", "reason", "batch_id", F.current_timestamp().alias("failed_at"))
    bad.write.mode("append").options(txnAppId="dirty_sales dead letter", **once).saveAsTable(dead_letter)
    sorted_lines.unpersist()


def process_new():
    lines = spark.readStream.option("maxFilesPerTrigger", 1).text(str(feed.folder))
    run_stream(lab, "dirty_sales", lines.writeStream.foreachBatch(sort_lines))
    print(f"accepted: {spark.table('sales_accepted').count()}, dead letters: {spark.table('sales_dead_letter').count()}")


lab.drop("sales_accepted", "sales_dead_letter")
shutil.rmtree(checkpoint, ignore_errors=True)
spark.sql(
    "CREATE TABLE sales_accepted (line_id LONG, store_id INT, product_id INT, quantity INT, sales_value DOUBLE, sold_at TIMESTAMP, batch_id LONG)"
)
spark.sql("CREATE TABLE sales_dead_letter (raw STRING, reason STRING, batch_id LONG, failed_at TIMESTAMP)")
process_new()
print("taken back: batch", forget_last_batch(checkpoint))
feed.deliver(3)
process_new()
reasons = spark.table("sales_dead_letter").groupBy("reason").count().orderBy(F.desc("count"), "reason").collect()
bars({row.reason: row["count"] for row in reasons}, "Dead letters by reason", "lines")
### END SOLUTION

# %% tags=["check:2b.1"]
check("2b.1")

# %% [markdown]
# ## Lesson 7: Expectations
#
# A dead-letter table answers "can this line be read?". The next question is about meaning: a product that nobody knows, a price of nothing, a line
# without a number. Such rules belong beside the code that makes the dataset, with a name, a count in every run, and a decision what to do:
#
# | action | a record that breaks the rule | for |
# |---|---|---|
# | **warn** | is kept and counted | what you want to watch before you decide |
# | **drop** | is left out and counted | what would make results wrong, and can be done without |
# | **fail** | stops the run; the target stays as it was | what must not happen: a key that is NULL, a feed of another currency |
#
# Databricks calls these *expectations*: decorators on the functions of a pipeline. Spark 4.2's own declarative pipelines have none.
# `labs_lib.patterns.expectations` has them under the same names: `expect`, `expect_or_drop`, `expect_or_fail`, and `expect_all`, `expect_all_or_drop`,
# `expect_all_or_fail` for a dict of rules.

# %% tags=["demo"]
products = lab.load("products")


@expect("sized", "package_size RLIKE '[0-9]'")
@expect_or_drop("has_category", "product_category IS NOT NULL")
@expect_or_fail("numbered", "product_id IS NOT NULL")
def products_checked():
    return products


lab.drop("products_checked", "product_metrics")
for count in write_checked(products_checked, run=1, metrics="product_metrics").counts:
    print(f"{count.rule:<13} {count.action}  passed {count.passed:>6,}  failed {count.failed:>6,}")
print(f"{products.count():,} products came in, {spark.table('products_checked').count():,} went on;", end=" ")
print(f"{products.where('package_size IS NULL').count():,} have no package size at all")

# %% [markdown]
# **NULL is not true.** Most products that break the first rule have no package size: `NULL RLIKE '[0-9]'` is NULL. Here a condition that is not true
# counts as failed, as a WHERE would drop it. If a missing value is fine, say so: `package_size IS NULL OR package_size RLIKE '[0-9]'`. Be explicit on
# Databricks as well: its documentation says that a condition is true or false for each record, and leaves NULL open.
#
# Each rule sees every record, also those that another rule drops. So the counts of two rules can overlap, and they don't add up to the number of
# dropped records.
#
# **Counting without reading twice.** A count per rule is one aggregation, however many rules there are: `count_if(condition)` for each. Where to put
# it? `observe` counts during another action, such as the write itself, and hands over the figures when that is done:

# %% tags=["demo"]
lab.drop("observed_products")
spark.sql("CREATE TABLE observed_products LIKE products")
seen = Observation("seen")
counted = products.observe(seen, F.count("*").alias("records"), F.count_if(F.expr("product_category IS NOT NULL")).alias("passed"))
counted.where("product_category IS NOT NULL").write.mode("append").saveAsTable("observed_products")
print(seen.get)

# %% [markdown]
# That costs nothing extra, and it is right for rules that warn or drop. For a fail rule it is too late: by then the write is committed, and if an error
# stopped the write, there are no figures. (In these versions it also has nothing to say when the write creates its table, or when `txnVersion` made it
# do nothing.) So `write_checked` keeps the DataFrame (`persist`: memory first, then disk), counts all rules in one aggregation over it, decides, and
# only then writes from what it kept. The source is read once, what is written is what was counted, and a broken fail rule costs the target nothing. The
# price is room for one batch.
#
# **In declarative pipelines** the same decorators work below `@dp.table` or `@dp.materialized_view` (never above: these leave no function behind).
# There the function is called to *describe* the query and may not run one, so a drop rule becomes a filter and a fail rule an error inside the query.
# What does not work there in Spark 4.2:
#
# * counts of the run: figures of `observe` don't come back from a pipeline. A second view with `rule_counts` has them, and reads the source once more.
#   Each refresh replaces them; append them to a table after the run to keep one set per run;
# * a fail rule on a materialized view: its refresh empties the table *before* it runs the query, so the view is empty after the error. On a streaming
#   table it is safe: the failed batch is not committed. Either way the error may say no more than that a task failed while it wrote; the rule's name is
#   then in the server's log only.

# %% tags=["demo"]
lab.drop("known_products", "known_products_quality", "known_products_runs")
described = """
from pyspark import pipelines as dp
from pyspark.sql import SparkSession
from labs_lib.patterns import expect, expect_or_drop, rule_counts

spark = SparkSession.active()


@expect("sized", "package_size RLIKE '[0-9]'")
@expect_or_drop("has_category", "product_category IS NOT NULL")
def known_products():
    return spark.table("products")


dp.materialized_view(known_products)


@dp.materialized_view
def known_products_quality():
    return rule_counts(known_products)
"""
run_pipeline(write_pipeline(lab, "known_products", described).spec)
print(f"{spark.table('known_products').count():,} products in the view")
spark.table("known_products_quality").withColumn("run", F.lit(1)).write.mode("append").saveAsTable("known_products_runs")
spark.table("known_products_runs").orderBy("run", "rule").show()

# %% [markdown]
# **When something else is better.** A Delta **CHECK constraint** belongs to the table, not to one pipeline: whoever writes, a single row that breaks it
# fails the whole write. Use it for what must hold always; it counts nothing and drops nothing. It is strict about NULL, unlike CHECK in most databases.
# **dbt tests** and **Great Expectations** look at a table *after* it was written: good for questions about many rows (is the key unique, did the volume
# halve since yesterday, does every order have a customer) and for documents that others read; they find the damage and don't prevent it. Expectations
# sit in between: per record, per run, before the write.

# %% tags=["demo"]
lab.drop("prices")
spark.sql("CREATE TABLE prices (product_id INT, price DOUBLE)")
spark.sql("ALTER TABLE prices ADD CONSTRAINT positive CHECK (price > 0)")
for price in ("2.5", "-1", "NULL"):
    try:
        spark.sql(f"INSERT INTO prices VALUES (1, {price})")
        print(f"{price:>5}: written")
    except Exception as error:
        print(f"{price:>5}: refused,", "CHECK constraint positive" if "positive" in str(error) else "for another reason")

# %% [markdown]
# **On Databricks.** Expectations are part of Lakeflow Spark Declarative Pipelines (once Delta Live Tables): `from pyspark import pipelines as dp` and
# `@dp.expect_or_drop(...)`; older code has `import dlt`. SQL has `CONSTRAINT name EXPECT (condition) ON VIOLATION DROP ROW | FAIL UPDATE`. Counts are
# in the pipeline's event log, a table that you query with `event_log(...)` (the details of its `flow_progress` events); `read_metric_history`, which
# some older texts call, is not in the documented interface.
#
# **Read on:** [Databricks: expectations](https://docs.databricks.com/aws/en/ldp/expectations), [Delta:
# constraints](https://docs.delta.io/latest/delta-constraints.html), [Spark: declarative
# pipelines](https://spark.apache.org/docs/latest/declarative-pipelines-programming-guide.html).

# %% [markdown]
# ### Step 2b.2: Expectations
#
# Sales come in three batches. `sales_batches.land(lab, number)` makes a batch the content of the table `sales_landing` (`line_id`, `store_id`,
# `product_id`, `quantity`, `sales_value`, `transaction_date`).

# %%
lab.load("products")
sales_batches.land(lab, 1)
spark.table("sales_landing").orderBy("line_id").show(4)


# %% [markdown]
# These rules are wanted:
#
# | rule | what holds for a sound record | otherwise |
# |---|---|---|
# | `usual_quantity` | `quantity` is there and from 1 to 24 | keep the record and count it |
# | `known_product` | the product is in `products`, so the record has a `department` | leave the record out |
# | `positive_value` | `sales_value` is there and above 0 | leave the record out |
# | `identified` | `line_id` is there | stop the run |
#
# **Produce**
# 1. a function `sales_checked`, decorated with these rules, that returns the columns of `sales_landing` and the `department` from `products`;
# 2. three runs: land batch 1, 2 and 3 in turn, and after each call `write_checked(sales_checked, run=number)`. The third batch has records that break
#    the fail rule: catch `ExpectationFailed` and print it.
#
# `write_checked` appends to the table `sales_checked` and puts the counts into the table `quality_metrics`. Begin with dropping both.
#
# **Checked:** the metrics of each rule in all three runs (action, passed, failed); the rows of `sales_checked`; its history: one commit for each run
# that succeeded.

# %% tags=["answer:2b.2"]
# Decorate sales_checked, then land and write the three batches.
### BEGIN SOLUTION
@expect("usual_quantity", "quantity BETWEEN 1 AND 24")
@expect_or_drop("known_product", "department IS NOT NULL")
@expect_or_drop("positive_value", "sales_value > 0")
@expect_or_fail("identified", "line_id IS NOT NULL")
def sales_checked():
    departments = spark.table("products").select("product_id", "department")
    return spark.table("sales_landing").join(departments, "product_id", "left")


lab.drop("sales_checked", "quality_metrics")
for number in (1, 2, 3):
    sales_batches.land(lab, number)
    try:
        write_checked(sales_checked, run=number)
    except ExpectationFailed as stopped:
        print(stopped)
    print(f"after run {number}: {spark.table('sales_checked').count()} rows")
spark.table("quality_metrics").drop("dataset", "recorded_at").orderBy("run", "rule").show()
### END SOLUTION

# %% tags=["check:2b.2"]
check("2b.2")

# %% [markdown]
# ## Lesson 8: Retries, and when to stop calling
#
# Why it matters: a pipeline that enriches its rows from a service is only as available as that service. What it does in the minutes when the service is
# down decides whether the outage stays there. Two tools belong together:
#
# | tool | answers the question | does harm when |
# |---|---|---|
# | **Retry with backoff** | was that one call unlucky? Wait a little, longer each time, with some randomness (jitter), and try again | the service is down for everybody: each caller then sends a multiple of its calls to a service that is trying to come back |
# | **Circuit breaker** | is the service down? After some failures in a row make no calls for a while, fail at once, then try a single one | calls are so rare that "in a row" spans hours, or the failures are the caller's own |
#
# Neither works without a third: **a timeout on every call**. Python's `urllib` and `http.client` wait for ever unless told otherwise, and a call that
# hangs is neither a success nor a failure.
#
# To try them on something real, `FlakyService` starts an HTTP service on this machine that knows the region of each store. It is down when its script
# says so, by a clock that only moves when it is told to: nobody has to wait for an outage. It keeps a record of the calls that reached it.

# %% tags=["demo"]
regions = {row.store_id: row.region for row in lab.load("stores").collect()}
some_store = min(regions)
clock = ManualClock()
with FlakyService(regions, [Outage(60, 120, "503"), Outage(120, 180, "dropped")], clock) as service:
    for asked in (some_store, some_store, some_store, some_store, -1):
        try:
            print(f"{clock():>4.0f} s  store {asked}: {service.region_of(asked)}")
        except (OSError, LookupError) as error:
            kind = "OSError" if isinstance(error, OSError) else "no OSError"
            print(f"{clock():>4.0f} s  store {asked}: {type(error).__name__} ({kind}): {error}")
        clock.advance(60)
    with urlopen(f"{service.address}/calls") as response:
        print("on the service's record:", [call["answer"] for call in json.load(response)])


# %% [markdown]
# Two kinds of trouble, and the difference matters. An answer of 503 or a lost connection says something about **the service**; Python raises some
# `OSError` for both. An unknown store says something about **the question**: the service is well and answered. Only the first kind is a reason to stop
# calling.
#
# Now an outage of three minutes, and a job that asks for a store every five seconds: unprotected, and with up to three retries.

# %% tags=["demo"]
def calls_per_minute(protect):
    """Calls that reach the service in each of ten minutes. `protect(clock)` gives what the job calls through."""
    clock = ManualClock()
    with FlakyService(regions, [Outage(180, 360)], clock) as service:
        call = protect(clock)
        for number, store in enumerate(itertools.islice(itertools.cycle(sorted(regions)), 120)):
            clock.advance(5 * number - clock())
            with contextlib.suppress(OSError, CircuitOpen):
                call(service.region_of, store)
        minutes = [int(made.at // 60) for made in service.calls]
    return [minutes.count(minute) for minute in range(10)]


def unprotected(clock):
    return lambda function, *args: function(*args)


def with_retries(clock):
    def call(function, *args):
        for wait in (0.5, 1, 2):
            try:
                return function(*args)
            except OSError:
                clock.advance(wait)  # a real one sleeps here, and adds some randomness
        return function(*args)

    return call


def plot_calls(reached):
    drawn, (axis,) = figure(height=3.0)
    for name, counts in reached.items():
        axis.plot(range(1, 11), counts, marker="o", label=name)
    axis.axvspan(3.5, 6.5, color="0.92", zorder=0)
    axis.set_title("Calls that reach the service; it is down in minutes 4 to 6", loc="left")
    axis.set_xlabel("minute")
    axis.set_ylabel("calls")
    axis.legend()
    show(drawn)


reached = {"unprotected": calls_per_minute(unprotected), "with three retries": calls_per_minute(with_retries)}
plot_calls(reached)

# %% [markdown]
# Retries quadruple the load just when the service can bear it least, and every row of the job waits for all of them. A breaker does the opposite.
#
# It has three states. **Closed**: calls pass; failures in a row are counted, and a success sets the count back to nothing. At the limit it **opens**:
# calls are refused at once, without being made. When the cooldown has passed, the next call is let through as a probe: the breaker is **half-open**
# while it runs. If the probe succeeds, the breaker closes; if it fails, it opens again for a whole cooldown.
#
# A popular sketch of a breaker goes wrong in ways that are worth knowing:
#
# * It never sets the count back on a success. Three failures in three weeks then open it.
# * It keeps time with `time.time()`, which jumps when the machine's clock is set. `time.monotonic()` does not.
# * In the half-open state it lets *every* caller through. A service that has just come back meets all of them at once.
# * It has no lock, though callers run in threads. The opposite mistake is as common: a lock that is held while the call runs, so that one slow call
#   blocks all the others, and they time out.
# * It wraps the whole batch, so a bad row or a full disk counts as a failure of the service.
# * When it is open, the batch is *skipped*: the function returns, the stream notes the batch as done, and its rows are lost. Raise instead, so that the
#   batch comes again, or put the rows into a table of pending ones.
#
# **Where it belongs in Spark.** On the driver: in the function of a `foreachBatch`, around a lookup that serves the whole batch, or around the job that
# a step starts. Not in a UDF: each Python worker would have a breaker of its own, none of them sees the others' failures, and a call per row was the
# problem to begin with. Collect the distinct keys, look them up once on the driver, and join.
#
# **Your own code or a library?** For work, take a library: `tenacity` for retries (backoff, jitter, which exceptions, when to give up), `pybreaker` for
# breakers (listeners, and a state that several processes share through Redis). Here you write one, because the behaviour at the edges is what you have
# to know to set one up.
#
# With Spark Connect, as here, the function of a `foreachBatch` is pickled and sent into a Python process of its own on the server. A lock can't be
# pickled, so a breaker made in the notebook can't go along. Put it into a module that the process can import, and make it there on first use. It then
# lives as long as the query, and the notebook doesn't see its state; a job with `availableNow` begins with a closed breaker each time.
#
# **On Databricks.** The same. On serverless and standard compute `foreachBatch` runs in a process of its own, as here; on dedicated compute without
# Connect it runs in the driver's own Python, and sees the notebook's objects.
#
# **Read on:** [Martin Fowler: CircuitBreaker](https://martinfowler.com/bliki/CircuitBreaker.html), [tenacity](https://tenacity.readthedocs.io/),
# [pybreaker](https://github.com/danielfm/pybreaker).

# %% [markdown]
# ### Step 2b.3: Circuit breaker
#
# **Produce** a class `CircuitBreaker`:
# * `CircuitBreaker(failures=3, cooldown=30.0, clock=time.monotonic)`: how many failures in a row open it, for how many seconds it then stays open, and
#   the clock that it goes by;
# * `.call(function, *args)` returns what `function(*args)` returns, or raises what it raises. While the breaker is open, and for a second call while a
#   probe is running, it raises `CircuitOpen` at once and does not call the function;
# * `.state`: `"closed"`, `"open"`, or `"half-open"` while a probe is running. (An open breaker whose cooldown has passed may still say `"open"` until
#   the next call.)
#
# A failure is an `OSError`. Any other exception is passed on and counts as a success, for the service did answer.
#
# **The answer cell is taken as it stands and run by itself**, as a module would be, in a process that has nothing of your notebook: whatever the class
# uses, imports too, has to be in that cell, and what only works in the notebook (`lab`, `spark`, `%` commands) must not. Try your class in another cell.
#
# **Checked:** your class is led from outside through scripted outages of a real service, with a clock that the check moves and numbers that your
# notebook has not seen. Service and clock stay with the check: the function that your class is given asks the one, `clock` the other. Six things are
# looked at: opening after failures in a row; refusing while open; a probe that succeeds; a probe that fails; two calls from two threads at once, while
# closed and while half-open; errors that are no failures. Which calls were made is read from the service's own record.

# %% tags=["answer:2b.3"]
# Write the class CircuitBreaker. This cell is run by itself: what the class uses is imported here.
import threading
import time

from labs_lib.patterns import CircuitOpen


### BEGIN SOLUTION
class CircuitBreaker:
    def __init__(self, failures=3, cooldown=30.0, clock=time.monotonic):
        self.failures, self.cooldown, self.clock = failures, cooldown, clock
        self.state = "closed"
        self._failed = 0  # in a row
        self._opened = 0.0  # when, by the clock
        self._lock = threading.Lock()  # held while the state changes, never while a function runs

    def call(self, function, *args):
        probe = self._enter()
        try:
            result = function(*args)
        except Exception as error:
            self._leave(probe, failed=isinstance(error, OSError))
            raise
        except BaseException:  # interrupted: nothing is known of the service, and a probe may not stay under way for ever
            self._leave(probe, failed=True)
            raise
        self._leave(probe, failed=False)
        return result

    def _enter(self):
        with self._lock:
            if self.state == "closed":
                return False
            if self.state == "half-open" or self.clock() - self._opened < self.cooldown:
                raise CircuitOpen("The service is left alone for now.")
            self.state = "half-open"
            return True

    def _leave(self, probe, failed):
        with self._lock:
            if not probe and self.state != "closed":
                return  # a call from before the opening says nothing about now
            self._failed = self._failed + 1 if failed else 0
            if failed and (probe or self._failed >= self.failures):
                self.state, self._opened = "open", self.clock()
            elif probe:
                self.state = "closed"


### END SOLUTION

# %% tags=["check:2b.3"]
check("2b.3")

# %% [markdown]
# When your breaker passes, put it in front of the job of the lesson:

# %% tags=["demo"]
if "CircuitBreaker" in globals():  # your answer; there is nothing to draw without it
    reached["with a breaker"] = calls_per_minute(lambda clock: CircuitBreaker(failures=3, cooldown=30.0, clock=clock).call)
    plot_calls(reached)
    bars({name: sum(counts[3:6]) for name, counts in reached.items()}, "Calls made to a service that is down", "calls in three minutes", highlight=["with a breaker"])

# %% [markdown]
# The price shows in minute 7: after the service came back, the breaker stayed open until its cooldown ended. A long cooldown spares the service and
# loses answers that could be had. Start from how long the service usually takes to come back.

# %% [markdown]
# ## Lesson 9: Writing the same batch twice
#
# Why it matters: every queue, every scheduler with retries and every `foreachBatch` promises *at least once*. A batch comes again when the
# acknowledgement was lost, when the driver died after its last commit, when somebody pressed "repair run". A write is **idempotent** if doing it again
# changes nothing. "Exactly once" is the sum of the two: delivered at least once, applied idempotently.
#
# What a retry does to a plain append, with a batch of real sales lines:

# %% tags=["demo"]
lab.drop("retried")
batch = spark.createDataFrame(deliveries.batches(lab.seed)[1])
for _ in range(2):
    batch.write.mode("append").saveAsTable("retried")
print(f"appended twice: {spark.table('retried').count()} rows for {batch.count()} lines")

# %% [markdown]
# Delta can recognise a write by a **transaction id**: `txnAppId`, a name for the writer, and `txnVersion`, a whole number. The two are stored in the
# log *in the same commit* as the rows. A write whose version is not above the one on record for its name is skipped, and the call returns as if it had
# written.

# %% tags=["demo"]
lab.drop("retried")
batch.limit(0).write.saveAsTable("retried")
for version in (5, 5, 4):
    batch.write.mode("append").option("txnAppId", "nightly-sales").option("txnVersion", version).saveAsTable("retried")
    print(f"version {version}: {spark.table('retried').count()} rows")
log = spark.read.json(f"{lab.path('retried')}/_delta_log/*.json")
log.where("txn IS NOT NULL").select("txn.appId", "txn.version").show()

# %% [markdown]
# Look at the last one. Version 4 was skipped although nobody ever wrote it: the log keeps one number per name, the highest. **One name for a feed works
# only if its batches come in order**, as they do in `foreachBatch`, where the query's id and the batch id make a good pair. A queue promises no order:
# there, give each batch a name of its own. (Names stay in the table's state; `delta.setTransactionRetentionDuration` lets old ones go.)
#
# The options work for appends and overwrites by a DataFrame. For MERGE, UPDATE, DELETE and INSERT in SQL the same two are session settings.
# `spark_conf` sets them for a block: left set, they would make Delta skip the *next* statement.

# %% tags=["demo"]
before = spark.table("retried").agg(F.sum("quantity")).first()[0]
for _ in range(2):
    with spark_conf(spark, {"spark.databricks.delta.write.txnAppId": "recount", "spark.databricks.delta.write.txnVersion": 1}):
        spark.sql("UPDATE retried SET quantity = quantity + 1")
added = spark.table("retried").agg(F.sum("quantity")).first()[0] - before
print(f"an UPDATE run twice: each row got {added / batch.count():g} more")


# %% [markdown]
# The other way needs a key in the data: `MERGE ... ON line_id WHEN NOT MATCHED THEN INSERT`. It finds again what is there, at the price of reading the
# target. Leave out `WHEN MATCHED THEN UPDATE SET *` if rows never change: it rewrites every row of a repeated batch with itself, and each rewrite goes
# on to whoever reads the table's changes. Popular recipes do that, and make up a random id per attempt besides, which can recognise nothing: **an id
# has to come with the batch**, not from the code that writes it.
#
# **Sums are the hard part.** `SET sales = t.sales + b.sales` is right once and wrong twice. It needs a transaction id, or sums that are computed again
# from the rows.
#
# **Two tables are two transactions.** After a crash in between, one has the batch and the other does not. No order of the two writes avoids that; what
# helps is that each is idempotent by itself, so that the retry passes over the first and makes the second.
#
# ### Two writers at once
#
# Delta is *optimistic*: a transaction reads a version, does its work without a lock, and at the commit looks at what others committed meanwhile. If
# that touches what it read, it fails with a conflict, and nothing of it is visible. What counts as touching is a matter of the **isolation level**:
#
# * **Serializable**: the outcome is that of running the writes one after the other, in the order of the table's history. Open-source Delta knows only
#   this level.
# * **WriteSerializable**, the default on Databricks: one after the other too, though perhaps not in that order. Blind appends (which read nothing of
#   the table) then disturb nobody.
#
# To see conflicts without luck, `interleave` holds a slow writer in the middle of its transaction until a quick one has committed.

# %% tags=["demo"]
def append(rows):
    rows.write.mode("append").saveAsTable("contended")


def merge(rows):
    rows.createOrReplaceTempView("incoming")
    rows.sparkSession.sql(
        "MERGE INTO contended t USING incoming b ON t.line_id = b.line_id WHEN MATCHED THEN UPDATE SET quantity = t.quantity + 1 WHEN NOT MATCHED THEN INSERT *"
    )


lines = deliveries.batches(lab.seed)[1].slice(0, 20)
lab.drop("contended")
append(spark.createDataFrame(lines))
outcomes = []
for slow, quick in ((append, append), (merge, append), (merge, merge)):
    slow_one, quick_one = interleave(lab, slow, quick, lines)
    outcomes.append({"slow": slow.__name__, "quick": quick.__name__, "the quick one": str(quick_one), "the slow one": str(slow_one)})
pd.DataFrame(outcomes)


# %% [markdown]
# An append reads nothing, so nothing can have changed under it. The MERGE had looked for its lines in a table that now has more of them. Under
# WriteSerializable the second pair passes: the MERGE might have come first. It then inserts lines that the append has just written, which is the price
# of that level.
#
# A conflict is good news: the loser wrote nothing and can simply run again. With a transaction id the loser of a race for the same batch gets one too
# (DELTA_CONCURRENT_TRANSACTION), and its retry finds the batch done.
#
# **On Databricks.** The same options and settings, and `delta.isolationLevel` may be set to either level. *Row-level concurrency* (tables with deletion
# vectors, runtime 14.2 and later) lets two MERGEs pass there that touch different rows of one file; in open source a conflict is decided by files.
# `BEGIN ATOMIC ... END` makes one transaction of writes to several tables, on runtime 18.0 and later, for managed tables of Unity Catalog with catalog
# commits (a public preview at the time of writing). It takes away the crash in between, and not the second delivery: a stream's checkpoint is no part
# of it.
#
# **Read on:** [Delta: concurrency control](https://docs.delta.io/concurrency-control), [Delta: streaming writes, with idempotent
# ones](https://docs.delta.io/latest/delta-streaming.html), [Databricks: isolation
# levels](https://docs.databricks.com/aws/en/optimizations/isolation/isolation-levels).

# %% [markdown]
# ### Step 2b.4: Idempotent write
#
# A queue delivers batches of sales lines. `play_deliveries(lab, write_batch)` lays two empty tables and calls your function for every delivery:
#
# | table | columns | holds |
# |---|---|---|
# | `sales_log` | line_id, store_id, product_id, quantity, sales_value, transaction_date | each sales line, appended once |
# | `store_totals` | store_id, lines, sales | for each store, how many lines so far and the sum of their sales_value |
#
# Batch 1 comes twice. Batch 2 comes while `store_totals` refuses it, and batch 3 while `sales_log` refuses it (a CHECK constraint that somebody added).
# When your function raises, the batch counts as not delivered and comes again later: batch 3 first, then batch 2. Batch 4 is taken by two writers at
# once. When your function returns, the batch is never seen again.
#
# **Produce** a function `write_batch(batch, batch_id)` that writes a batch to both tables. `batch` is a DataFrame with the columns of `sales_log`,
# `batch_id` an int that is the same in each delivery of a batch. Each writer has a Spark session of its own: use `batch.sparkSession` for SQL, as in
# `foreachBatch`. End the cell with `play_deliveries(lab, write_batch)`, which runs the deliveries.
#
# **Checked:** the rows of both tables; that their histories show the deliveries; and that a repeated delivery changed nothing: no line inserted twice
# or rewritten, `store_totals` changed at most once per batch.

# %% tags=["answer:2b.4"]
# Write write_batch(batch, batch_id), then let play_deliveries(lab, write_batch) deliver the batches.
### BEGIN SOLUTION
def write_batch(batch, batch_id):
    # A name per batch: they come in any order, and Delta keeps only the highest version of a name.
    once = {"txnAppId": f"sales-batch-{batch_id}", "txnVersion": 1}
    batch.write.mode("append").options(**once).saveAsTable("sales_log")
    sums = batch.groupBy("store_id").agg(F.count("*").alias("lines"), F.sum("sales_value").alias("sales"))
    sums.createOrReplaceTempView("sums")
    with spark_conf(batch.sparkSession, {f"spark.databricks.delta.write.{name}": value for name, value in once.items()}):
        batch.sparkSession.sql("""
            MERGE INTO store_totals t USING sums b ON t.store_id = b.store_id
            WHEN MATCHED THEN UPDATE SET lines = t.lines + b.lines, sales = t.sales + b.sales
            WHEN NOT MATCHED THEN INSERT (store_id, lines, sales) VALUES (b.store_id, b.lines, b.sales)
        """)


play_deliveries(lab, write_batch)
### END SOLUTION

# %% tags=["check:2b.4"]
check("2b.4")

# %% [markdown]
# ## Lesson 10: Recovery
#
# Every pipeline is killed one day: a spot machine is taken away, a deployment restarts the job, memory runs out. What matters is the table after the
# restart. Each row once, as if nothing had happened, takes three things together:
#
# | what | why | what breaks it |
# |---|---|---|
# | a source that can be **read again** | the batch that was under way is read once more | a queue that forgets what it has delivered; files that are removed or overwritten before their batch is finished |
# | a **checkpoint** | it says which batch was under way, and what was in it | a checkpoint on a local disk that dies with the machine; two streams that share one; "just delete it" |
# | a write that can be **repeated** | the batch may have been written already | a plain append in `foreachBatch` |
#
# Spark promises that each batch is *tried* until it has succeeded, with the same input. That is at least once. Only the third row of the table makes it
# exactly once, and with `foreachBatch` the third row is your job.
#
# Two files of sales, and a stream that appends them to a table. `killing("after")` lets the process that runs the batch function kill itself
# (`SIGKILL`) when the function has done its work, so Spark does not learn that it has:

# %% tags=["demo"]
landing = sales_files.lay(lab, "lesson", [1, 2], fresh=True)
checkpoint = lab.folder / "checkpoints" / "lesson"
shutil.rmtree(checkpoint, ignore_errors=True)
lab.drop("lesson_sales")
fields = "line_id BIGINT, basket_id BIGINT, store_id INT, product_id INT, quantity BIGINT, sales_value DOUBLE, sold_on DATE"


def append_what_is_new(**options):
    table = f"{lab.database}.lesson_sales"

    def append(batch, batch_id):
        batch.write.mode("append").saveAsTable(table)

    stream = spark.readStream.schema(fields).options(**options).json(str(landing))
    query = stream.writeStream.foreachBatch(append).option("checkpointLocation", str(checkpoint)).trigger(availableNow=True).start()
    query.awaitTermination()


with killing("after"):
    try:
        append_what_is_new()
    except Exception as error:
        print("The stream ended with", type(error).__name__)
print("rows:", spark.table("lesson_sales").count())
for file in sorted(file.relative_to(checkpoint) for file in checkpoint.rglob("*") if file.is_file() and not file.name.startswith(".")):
    print("checkpoint:", file)

# %% [markdown]
# Before a batch runs, Spark writes down what will be in it: for a folder the names of the files (`sources/0/0`) and a pointer to them (`offsets/0`).
# When the batch function has returned, it writes `commits/0`. That one is not there. A stream that starts looks for the newest offset: if there is a
# commit for it, it looks for new input; if there is none, it runs that batch again. `batches` reads the folders:

# %% tags=["demo"]
print(batches(checkpoint).to_string(index=False))
append_what_is_new()
print(batches(checkpoint).to_string(index=False))
print("rows:", spark.table("lesson_sales").count())

# %% [markdown]
# The batch ran again from the beginning, on the same two files. Every row is there twice, and no error was raised. (`writeStream.toTable(...)` would
# have noticed: Delta's own sink keeps query and batch number in the table's log. In `foreachBatch`, idempotent writes are the way: a MERGE on a key, or
# `txnAppId` and `txnVersion`.)
#
# **What may change between two runs** on the same checkpoint:
#
# | change | |
# |---|---|
# | code of the batch function, filters, projections, added columns | yes |
# | `maxFilesPerTrigger`, trigger | yes |
# | schema of a file source | yes, it is read anew at each start; files that were processed are not read again for it |
# | number, order or kind of sources; another folder or topic | no: offsets belong to the source at their place. At best it fails. (Spark 4.2 can name its sources, as an experiment) |
# | keys, aggregates or join types of a stateful operator | no: the state on disk has the old shape |
# | sink | a few combinations work; from Delta's sink to `foreachBatch` the guard against a repeated batch becomes your job |
# | the checkpoint itself, removed or moved | everything is read again from the beginning. A MERGE on a key doesn't mind. `txnVersion` *does*: batch numbers begin again at 0, and with the old `txnAppId` Delta takes the new batches for old ones and skips them |
#
# ### A file that can't be read
#
# Now a compressed file arrives that broke off in the middle of its upload.

# %% tags=["demo"]
sales_files.lay(lab, "lesson", broken=True)
try:
    append_what_is_new()
except Exception as error:
    print("The stream ended with", type(error).__name__)
print(batches(checkpoint).to_string(index=False))

# %% [markdown]
# The batch with the broken file can't be finished. It is planned, so each start tries it again, fails again, and what arrives after it waits. The usual
# first aid is `ignoreCorruptFiles`:

# %% tags=["demo"]
before = spark.table("lesson_sales").count()
append_what_is_new(ignoreCorruptFiles=True)
print("lines in the whole file:", sales_files.feed(lab.seed).cut[0].rows)
print("rows that arrived:      ", spark.table("lesson_sales").count() - before)
print(batches(checkpoint).to_string(index=False))

# %% [markdown]
# The stream goes on. The batch counts as finished, the file counts as read, and nothing anywhere says that lines are missing. What could be
# decompressed before the end was loaded, which makes it worse: the file looks as if it had arrived. `ignoreMissingFiles` is the same bargain for files
# that somebody deletes between listing and reading. Both hide loss. They have a place where loss doesn't matter.
#
# A pipeline that has to be complete treats the **file** as the unit: either all of it goes in, or none, with a note in a quarantine table. For that the
# stream must not read the files itself, or it dies before your code sees them. Let it carry only their *names*; the checkpoint still keeps track of
# them, and the batch function opens them, one at a time and with care:

# %% tags=["demo"]
shutil.rmtree(checkpoint, ignore_errors=True)


def report(batch, batch_id):
    session = batch.sparkSession
    results = []
    for row in batch.orderBy("path").collect():
        try:
            # The schema is inferred, so the file is read to its end; FAILFAST raises an error at a line that is no JSON.
            session.read.option("mode", "FAILFAST").json(row.path).schema
            results.append((row.path.rsplit("/", 1)[-1], "can be read"))
        except Exception as error:
            results.append((row.path.rsplit("/", 1)[-1], type(error).__name__))
    session.createDataFrame(results, "file STRING, result STRING").write.mode("overwrite").saveAsTable(f"{database}.lesson_files")


database = lab.database
lab.drop("lesson_files")
names = spark.readStream.format("binaryFile").schema("path STRING, modificationTime TIMESTAMP, length BIGINT, content BINARY").load(str(landing)).select("path")
names.writeStream.foreachBatch(report).option("checkpointLocation", str(checkpoint)).trigger(availableNow=True).start().awaitTermination()
spark.table("lesson_files").orderBy("file").show(truncate=False)

# %% [markdown]
# The stream of names needs no schema of the content, so a new column does not stop it either. Two things it can't see: a text file that broke off
# exactly at the end of a line (a source that cares sends a count of lines along), and a file that was overwritten: a file source knows a file by its
# path, and never reads a path twice. A source has to send a corrected file **under a new name**, and to write it elsewhere first and then rename it.
#
# ### A schema that changes
#
# New columns are the easy half: `MERGE WITH SCHEMA EVOLUTION` (or `mergeSchema` for an append) adds them, and older rows have null there. Types are the
# other half:

# %% tags=["demo"]
merge = """MERGE WITH SCHEMA EVOLUTION INTO lesson_types t USING (SELECT 1 AS line_id, 0.75D AS quantity) s
           ON t.line_id = s.line_id WHEN NOT MATCHED THEN INSERT *"""
for declared, widening in (("INT", False), ("INT", True), ("BIGINT", True)):
    lab.drop("lesson_types")
    spark.sql(f"CREATE TABLE lesson_types (line_id BIGINT, quantity {declared}) TBLPROPERTIES ('delta.enableTypeWidening' = '{str(widening).lower()}')")
    spark.sql(merge)
    stored = spark.table("lesson_types").select("quantity")
    print(f"{declared:<6} widening {'on: ' if widening else 'off:'} 0.75 is stored as {stored.first()[0]} ({stored.dtypes[0][1]})")

# %% [markdown]
# Three quarters of a kilogram became 0 in a column of whole numbers, twice, without an error. With the property `delta.enableTypeWidening` the write
# made the INT column a DOUBLE. (Delta's documentation asks for an `ALTER TABLE … ALTER COLUMN quantity TYPE DOUBLE` here; Delta 4.4 did it by itself.)
# From BIGINT to DOUBLE there is no way, since large numbers would lose digits; an ALTER TABLE to DECIMAL(22,3) is one. JSON readers infer BIGINT for
# whole numbers, so a table whose types come from its first file cuts off fractions until somebody notices. Choose types for what a column *means*, not
# for what the first file holds.
#
# ### The other half: RESTORE
#
# A crash is half of the trouble. The other half is a batch that ran well and wrote nonsense. Delta keeps the versions; `RESTORE` makes an old one the
# current one again. The table has had every line twice since the repeated batch; its first version was right:

# %% tags=["demo"]
good = spark.sql("DESCRIBE HISTORY lesson_sales").selectExpr("min(version)").first()[0]
print("rows now:            ", spark.table("lesson_sales").count())
print("rows of the version: ", spark.read.option("versionAsOf", good).table("lesson_sales").count())
spark.sql(f"RESTORE TABLE lesson_sales TO VERSION AS OF {good}")
print("rows after RESTORE:  ", spark.table("lesson_sales").count())


# %% [markdown]
# RESTORE rewinds the table and not the stream: the checkpoint still says that those batches are finished, so their rows will not come again by
# themselves. After a RESTORE, repair the code, then replay: read the affected files once as a batch through the same function, or start with a new
# checkpoint, if the write goes by a key. And both halves end with the retention of lesson 10 of module 1: no version, no RESTORE.
#
# **On Databricks.** Auto Loader (`cloudFiles`) is the file source there. It keeps the names of the files that it has seen in a RocksDB store in the
# checkpoint, and can learn of new ones from storage events instead of listing. It infers the schema, keeps it in `cloudFiles.schemaLocation`, and reads
# JSON columns as text unless told otherwise. `cloudFiles.schemaEvolutionMode` decides about new columns: `addNewColumns` (the default without a schema
# of yours) stops the stream with an error *after* it has noted the new schema, so the restart by the job goes on with it;
# `addNewColumnsWithTypeWidening` also widens types; `rescue` puts what does not fit into the column `_rescued_data` and goes on; `failOnNewColumns` and
# `none` do what they say. With an inferred schema, values that don't fit their column's type are kept in `_rescued_data` too, so they are not lost, but
# somebody has to look there. `badRecordsPath` keeps lines and files that can't be read. Jobs restart failed streams by themselves if you give them
# retries; expect and allow that. RESTORE and type widening are the same. Type widening is available from runtime 15.4 on.
#
# **Read on:** [Spark: recovery after changes in a
# query](https://spark.apache.org/docs/latest/streaming/apis-on-dataframes-and-datasets.html#recovery-semantics-after-changes-in-a-streaming-query),
# [Spark: options of file sources](https://spark.apache.org/docs/latest/sql-data-sources-generic-options.html), [Delta: type
# widening](https://docs.delta.io/delta-type-widening), [Databricks: Auto Loader schema
# evolution](https://docs.databricks.com/aws/en/ingestion/cloud-object-storage/auto-loader/schema), [Databricks: streaming
# checkpoints](https://docs.databricks.com/aws/en/structured-streaming/checkpoints).

# %% [markdown]
# ### Step 2b.5: Recovery
#
# Write a pipeline that survives, and prove it. Sales arrive in a folder as files with a JSON object a line, some of them compressed. You know their
# fields: `line_id`, `basket_id`, `store_id`, `product_id`, `quantity`, `sales_value`, `sold_on`. You also know the source: uploads break off; what is
# broken is sent again whole, under another name; after an outage the last file is sent once more, to be on the safe side. And a change is announced:
# one more text column, whose name nobody could tell you yet, and `quantity` in kilograms for goods by weight.
#
# `rehearse` calls your function seven times. It kills the process of your batch function twice: once before the function has done anything, once when
# it has done everything and its batch is not committed yet. Between the calls it delivers files, some of them broken off; it takes the source's folder
# away; and at last it plays a clean run with the same deliveries.
#
# **Produce**
# 1. a function `resume(source, checkpoint, table, quarantine)` that takes two folders and the full names of two tables. It creates the tables if they
#    are not there, starts or resumes a stream (with `foreachBatch` and `availableNow`) that processes the new files in `source`, and returns when that
#    has ended. If a file can't be read to its end, none of it goes into the table; the quarantine table gets a row with `file` (the name without the
#    folder) and `reason`. Without its source it raises an error (Spark's own will do) and leaves all as it is;
# 2. `rehearsal = rehearse(lab, resume)`, which makes the tables `recovered_sales` and `quarantine`. It removes what an earlier rehearsal left.
#
# **Checked:** that `recovered_sales` has every line once, with its values, and the later column (null for older lines); that each broken file is in
# `quarantine` once, with a reason; that the table's history shows whole files, delivery by delivery; that in `rehearsal` each start left what it should
# and the checkpoint lost nothing.

# %% tags=["answer:2b.5"]
# Write resume(source, checkpoint, table, quarantine), then fill rehearsal.
### BEGIN SOLUTION
def resume(source, checkpoint, table, quarantine):
    def load(batch, batch_id):
        session = batch.sparkSession
        good, bad = [], []
        for row in batch.collect():
            try:
                session.read.option("mode", "FAILFAST").json(row.path).schema
                good.append(row.path)
            except Exception as error:
                bad.append((row.path.rsplit("/", 1)[-1], str(error).splitlines()[0]))
        if bad:
            session.createDataFrame(bad, "file STRING, reason STRING").createOrReplaceTempView("bad_files")
            session.sql(f"MERGE INTO {quarantine} q USING bad_files b ON q.file = b.file WHEN NOT MATCHED THEN INSERT *")
        if good:
            session.read.json(good).dropDuplicates(["line_id"]).createOrReplaceTempView("arrived")
            session.sql(
                f"MERGE WITH SCHEMA EVOLUTION INTO {table} t USING arrived a ON t.line_id = a.line_id WHEN NOT MATCHED THEN INSERT *"
            )

    spark.sql(
        f"""CREATE TABLE IF NOT EXISTS {table} (line_id BIGINT, basket_id BIGINT, store_id BIGINT, product_id BIGINT,
            quantity DOUBLE, sales_value DOUBLE, sold_on STRING)"""
    )
    spark.sql(f"CREATE TABLE IF NOT EXISTS {quarantine} (file STRING, reason STRING)")
    files = spark.readStream.format("binaryFile").schema("path STRING, modificationTime TIMESTAMP, length BIGINT, content BINARY").load(source).select("path")
    query = files.writeStream.foreachBatch(load).option("checkpointLocation", checkpoint).trigger(availableNow=True).start()
    query.awaitTermination()


rehearsal = rehearse(lab, resume)
rehearsal
### END SOLUTION

# %% tags=["check:2b.5"]
check("2b.5")

# %% [markdown]
# ## What to take with you
#
# * Decide what a rerun does before you write the first run. One MERGE on the right key answers it for most tables.
# * Order comes from the data (a sequence number, an event time), never from the order of arrival.
# * A watermark is a decision to drop data. Count what it drops.
# * Nothing may vanish without a trace: a record that can't be used belongs in a table, with the reason.
# * Stop early and loudly when something is wrong with the whole. Go on when something is wrong with a part.
# * Exactly once is a property of three things together: a source that can be read again, a checkpoint, and a write that can be repeated. Rehearse the
#   crash.

# %% tags=["demo"]
progress("02_patterns")
