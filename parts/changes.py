# Part "changes": lessons on slowly changing dimensions and change data capture, steps 2a.1 and 2a.2.
# Imports that it wants in the setup cell:
#   import shutil
#   from pyspark.sql import functions as F
#   from labs_lib import check, open_lab, run_pipeline, write_pipeline
#   from labs_lib.cdc import create_auto_cdc_flow, drop_auto_cdc_flow
#   from labs_lib.feeds import captured, dimension
#   from labs_lib.plots import BLUE, GREEN, ORANGE, figure, show

# %% [markdown]
# ## Lesson: Slowly changing dimensions
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
# `valid_from` on and *before* `valid_to`, which is the next version's `valid_from`, or null for the version that holds now. So no moment has two versions
# and none is left without. `valid_from <= t AND (valid_to > t OR valid_to IS NULL)` finds the one for a time `t`.
#
# A small dimension, and two changes for it:

# %% tags=["demo"]
lab.drop("customers")
spark.sql("""
    CREATE TABLE customers AS
    SELECT id, city, TIMESTAMP'2026-01-01' AS valid_from, CAST(null AS TIMESTAMP) AS valid_to, true AS is_current
    FROM VALUES (1, 'Porto'), (2, 'Lyon'), (3, 'Graz') AS t(id, city)
""")
spark.createDataFrame([(2, "Nice"), (4, "Bern")], "id INT, city STRING").createOrReplaceTempView("updates")

# %% [markdown]
# A popular recipe does it in two steps: one MERGE closes what has changed, a second one inserts what is new, matched on `valid_from`. Two things are wrong
# with it. Each MERGE is a commit, and whoever reads between them, or after a crash between them, finds customer 2 without a current row. And where
# `valid_from` is the time of the run, a rerun never finds what it inserted before: it inserts again.

# %% tags=["demo"]
close = """MERGE INTO customers c USING updates u ON c.id = u.id AND c.is_current
           WHEN MATCHED AND c.city <> u.city THEN UPDATE SET valid_to = current_timestamp(), is_current = false"""
insert = """MERGE INTO customers c USING (SELECT *, current_timestamp() AS since FROM updates) u ON c.id = u.id AND c.valid_from = u.since
            WHEN NOT MATCHED THEN INSERT (id, city, valid_from, is_current) VALUES (u.id, u.city, u.since, true)"""
spark.sql(close)
print("current rows of customer 2 between the two commits:", spark.table("customers").where("id = 2 AND is_current").count())
spark.sql(insert)
for statement in (close, insert):  # the job is run again
    spark.sql(statement)
print("current rows of customer 2 after a rerun:          ", spark.table("customers").where("id = 2 AND is_current").count())

# %% [markdown]
# **One MERGE** is one commit: readers see all of it or nothing. It takes a row of its source to close a version and another one to open the next. So the
# source has both: each changed record twice, once with its key, and once with a null as key, which matches nothing and is inserted. The time comes from the
# data, not from the clock:

# %% tags=["demo"]
spark.sql("RESTORE TABLE customers TO VERSION AS OF 0")
one_merge = """
    MERGE INTO customers c
    USING (
        SELECT id AS key, *, TIMESTAMP'2026-02-01' AS since FROM updates
        UNION ALL
        SELECT null, u.*, TIMESTAMP'2026-02-01' FROM updates u JOIN customers c ON u.id = c.id AND c.is_current AND NOT u.city <=> c.city
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
# This form is right as long as each batch has one record per key, and records arrive in order. Real feeds keep neither promise. With two records for a key,
# MERGE refuses (two source rows for one target row) or inserts both as current. A **late** record, one that took effect before the version that is current,
# has its place in the middle of the history:

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
# So think of it as of a **timeline per key**, not as of a current row that is replaced. The versions of the keys in the batch and the batch's records, put
# in order of time, give the whole history of these keys: drop what only repeats what was valid before, and each version ends where the next one begins. One
# MERGE on key *and* `valid_from` then brings the table there. A record that was applied before finds its own version in its place, so a rerun has nothing
# to do, and a MERGE with nothing to do writes no commit.
#
# One limit stays. A record that repeats what is known leaves no trace in the table. If a late one lands before it, the table can't know that the old
# details were confirmed afterwards. Where that matters, keep every record in bronze and build the dimension from there.
#
# **On Databricks.** MERGE is the same. `create_auto_cdc_flow(..., stored_as_scd_type=2)` in a pipeline keeps such a table by itself, late records included
# (next lesson). Deletion vectors, which let MERGE mark single rows as replaced instead of copying whole files, are on for new tables there; in open source
# a table property turns them on.
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
# There are new households, changed ones, some that went back to what they were, records that repeat what is known, late records (some before the *first*
# version that is known), exact duplicates, and records that a later batch delivers again. Some households have several records in a batch. Nulls are
# values: unknown is a detail too. **Batch 4 is a rerun**: after a crash at the source it holds all of batch 3 once more, and a few records behind it.
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
# * A late record goes to its place: the version before it ends there, and it ends where the next one begins.
# * `valid_to` is the next version's `valid_from`; the last version has null, and `is_current` is true for it alone.
#
# **Checked:** the intervals; the versions of every household; that the history after the laying is four MERGE commits, each of which inserted just the new
# versions, updated just the rows whose end moved, and touched no other (`DESCRIBE HISTORY`, `operationMetrics`); that the last one did nothing for the
# records of batch 3.

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
                SELECT household_id, address, income, household_size, valid_from FROM household_history
                WHERE household_id IN (SELECT household_id FROM records)
                UNION
                SELECT * FROM records
            ),
            compared AS (
                SELECT *, struct(address, income, household_size) AS details, lag(struct(address, income, household_size)) OVER
                    (PARTITION BY household_id ORDER BY valid_from) AS details_before
                FROM events
            )
            SELECT household_id, address, income, household_size, valid_from,
                   lead(valid_from) OVER (PARTITION BY household_id ORDER BY valid_from) AS valid_to
            FROM compared WHERE NOT details <=> details_before
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
# ## Lesson: Change data capture
#
# Why: copying a database's table every night is slow, misses what came and went during the day, and can't see deletes. *Change data capture* (CDC) reads
# the database's own log instead: every insert, update and delete, in order, with a number that says which came first. Debezium and the cloud vendors'
# replication services deliver such changes as files or messages.
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
# Two layers keep this manageable. **Bronze** keeps every change as it came, duplicates and broken ones too: it is what you rebuild from. **Silver** applies
# them.
#
# Bronze is a **streaming table** of a declarative pipeline: a function that returns a *stream*, under `@dp.table`. Each run of the pipeline reads the files
# that have come since the last one and appends their rows. (A materialized view is computed again, whole.) Where it stands is in a checkpoint in the
# pipeline's storage folder. In Spark 4.2 the format is left out here too: the server's default is Delta.
#
# For silver, Spark 4.2's pipelines do have a function `create_auto_cdc_flow`. It keeps type 1 only, and it wants a target whose format takes row-level
# operations through Spark's own interface; Delta brings its own MERGE, and the flow ends with `AUTOCDC_TARGET_DOES_NOT_SUPPORT_MERGE`. So `labs_lib.cdc`
# has the function with the signature that Databricks uses, over a stream with foreachBatch and MERGE, for types 1 and 2. Six changes for two customers show
# it:

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
# Customer 1 is in Faro since change 4, customer 2 is gone, and the change without a key is in `customers_now__rejected`. `__sequence` is the flow's own: it
# says which change the row stands for.
#
# Now two stragglers arrive, which happened before: customer 1 moved to Lagos with change 3, and customer 2 to Nice with change 4.

# %% tags=["demo"]
spark.createDataFrame([(1, "Lagos", "update", 3), (2, "Nice", "update", 4)], schema).write.insertInto("feed")
print(apply_feed("customers_now", 1))
spark.table("customers_now").show()
spark.table("customers_now__tombstones").show()

# %% [markdown]
# Two changes were read, and none of them counts: for one there is a newer row, for the other a tombstone. The same feed as type 2, which keeps both where
# they belong:

# %% tags=["demo"]
apply_feed("customers_then", 2)
spark.table("customers_then").orderBy("id", "__START_AT").show()

# %% [markdown]
# `__START_AT` and `__END_AT` are sequence values, and a row whose end is null is valid now. Customer 2 has none: it was deleted by change 5.
#
# Why a crash does no harm: the stream's checkpoint notes a batch as done after it has been applied, so a crash in between means that the batch is applied
# **again**. Tombstones are written before the target, every MERGE compares sequences, and a second time finds everything in its place. You can build this
# yourself with `foreachBatch` in thirty lines; look into `labs_lib/cdc_batch.py` for the two statements.
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
# | `keys` as strings | also as columns |
#
# `APPLY CHANGES` and `apply_changes` are the older names of the same thing. Much code that you find under them does not run: the call is no query and does
# not belong into a function under `@dp.table` that should return a DataFrame; `source` is the *name* of a table or view, not a union of DataFrames;
# `apply_as_deletes` is a condition on the rows of that source, not a DataFrame of deletes. Inserts, updates and deletes stay in one feed. Splitting it by
# operation loses the order among them, and ordering by a timestamp that two changes can share leaves it to chance who wins.
#
# **Read on:** [Spark: declarative pipelines](https://spark.apache.org/docs/latest/declarative-pipelines-programming-guide.html), [Databricks: AUTO
# CDC](https://docs.databricks.com/aws/en/ldp/cdc), [`create_auto_cdc_flow`](https://docs.databricks.com/aws/en/ldp/developer/ldp-python-ref-apply-changes),
# [Spark: foreachBatch](https://spark.apache.org/docs/latest/streaming/apis-on-dataframes-and-datasets.html#using-foreach-and-foreachbatch).

# %% [markdown]
# ### Step 2a.2: CDC with a declarative pipeline
#
# A database of households gives up its changes as JSON files, in two drops. `captured.deliver(lab, 1)` puts the first drop into a folder and returns it;
# `captured.deliver(lab, 2)` adds the second one. Each line is a change, with the columns of `captured.SCHEMA`. A delete has a key and nothing else.

# %%
landing = captured.deliver(lab, 1)
print(captured.SCHEMA, "\n")
print(f"{len(list(landing.glob('*.json')))} files; the first begins like this:")
for line in sorted(landing.glob("*.json"))[0].read_text().splitlines()[:5]:
    print(line)

# %% [markdown]
# A stream's checkpoint and its table belong together: who deletes one and keeps the other reads everything twice or never. This forgets both, for bronze
# and for silver:

# %%
def start_over():
    lab.drop("bronze_changes")
    shutil.rmtree(lab.folder / "pipelines" / "household_changes", ignore_errors=True)
    drop_auto_cdc_flow("silver_households")

# %% [markdown]
# **Produce**, beginning with `start_over()` and the first drop:
# 1. a pipeline `household_changes` (`write_pipeline(lab, "household_changes", source)`) whose streaming table `bronze_changes` holds the lines of all
#    files, with the columns of `captured.SCHEMA`; put its Python file into `bronze_file` (`write_pipeline(...).file`);
# 2. the pipeline's run over the first drop, then `silver_households` made from it: per household the `address`, `income` and `household_size` of the newest
#    change, nothing of the deleted ones;
# 3. the second drop delivered, and both run again.
#
# **Checked:** that the file defines a streaming table; that bronze holds each delivered line once; that silver equals what the database holds in the end,
# with the deleted, the out-of-order and the keyless changes looked at one by one; that both tables grew in two runs, the second of which took in only what
# was new (stream commits in bronze, MERGE commits in silver).

# %% tags=["answer:2a.2"]
# Write the pipeline for bronze_changes, run it and the flow to silver_households for each drop; put the pipeline's file into bronze_file.
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
