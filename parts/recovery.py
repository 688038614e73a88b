# Imports that this part wants in the setup cell:
#   import shutil
#   from labs_lib.checkpoint_log import batches
#   from labs_lib.faults import killing, rehearse
#   from labs_lib.feeds import sales_files

# %% [markdown]
# ## Lesson: Recovery
#
# Every pipeline is killed one day: a spot machine is taken away, a deployment restarts the job, memory runs out. What matters is the table after the restart.
# Each row once,
# as if nothing had happened, takes three things together:
#
# | what | why | what breaks it |
# |---|---|---|
# | a source that can be **read again** | the batch that was under way is read once more | a queue that forgets what it has delivered; files that are removed or overwritten before their batch is finished |
# | a **checkpoint** | it says which batch was under way, and what was in it | a checkpoint on a local disk that dies with the machine; two streams that share one; "just delete it" |
# | a write that can be **repeated** | the batch may have been written already | a plain append in `foreachBatch` |
#
# Spark promises that each batch is *tried* until it has succeeded, with the same input. That is at least once. Only the third row of the table makes it
# exactly once,
# and with `foreachBatch` the third row is your job.
#
# Two files of sales, and a stream that appends them to a table. `killing("after")` lets the process that runs the batch function kill itself (`SIGKILL`) when
# the function has done its
# work, so Spark does not learn that it has:

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
# Before a batch runs, Spark writes down what will be in it: for a folder the names of the files (`sources/0/0`) and a pointer to them (`offsets/0`). When the
# batch function has
# returned, it writes `commits/0`. That one is not there. A stream that starts looks for the newest offset: if there is a commit for it, it looks for new
# input; if there is none, it
# runs that batch again. `batches` reads the folders:

# %% tags=["demo"]
print(batches(checkpoint).to_string(index=False))
append_what_is_new()
print(batches(checkpoint).to_string(index=False))
print("rows:", spark.table("lesson_sales").count())

# %% [markdown]
# The batch ran again from the beginning, on the same two files. Every row is there twice, and no error was raised. (`writeStream.toTable(...)` would have
# noticed: Delta's own sink keeps query and batch number in the table's
# log. In `foreachBatch`, idempotent writes are the way: a MERGE on a key, or `txnAppId` and `txnVersion`.)
#
# **What may change between two runs** on the same checkpoint:
#
# | change | |
# |---|---|
# | code of the batch function, filters, projections, added columns | yes |
# | `maxFilesPerTrigger`, trigger | yes |
# | schema of a file source | yes, it is read anew at each start; files that were worked off are not read again for it |
# | number, order or kind of sources; another folder or topic | no: offsets belong to the source at their place. At best it fails |
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
# The batch with the broken file can't be finished. It is planned, so each start tries it again, fails again, and what arrives after it waits. The usual first
# aid is
# `ignoreCorruptFiles`:

# %% tags=["demo"]
before = spark.table("lesson_sales").count()
append_what_is_new(ignoreCorruptFiles=True)
print("lines in the whole file:", sales_files.feed(lab.seed).cut[0].rows)
print("rows that arrived:      ", spark.table("lesson_sales").count() - before)
print(batches(checkpoint).to_string(index=False))

# %% [markdown]
# The stream goes on. The batch counts as finished, the file counts as read, and nothing anywhere says that lines are missing; what could be
# decompressed before the end may have been loaded, which makes it worse. `ignoreMissingFiles` is the same bargain for files that somebody deletes between
# listing and reading. Both hide loss. They have a place where loss doesn't
# matter.
#
# A pipeline that has to be complete treats the **file** as the unit: either all of it goes in, or none, with a note in a quarantine table. For that the
# stream must not
# read the files itself, or it dies before your code sees them. Let it carry only their *names*; the checkpoint still keeps track of them, and the batch
# function opens them, one at a time and with care:

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
# The stream of names needs no schema of the content, so a new column does not stop it either. Two things it can't see: a text file that broke off exactly at
# the end of a line (a
# source that cares sends a count of lines along), and a file that was overwritten: a file source knows a file by its path, and never reads a path twice. A
# source has to send a corrected file **under a new name**, and to write it elsewhere first and then rename it.
#
# ### A schema that changes
#
# New columns are the easy half: `MERGE WITH SCHEMA EVOLUTION` (or `mergeSchema` for an append) adds them, and older rows have null there. Types are the other
# half:

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
# Three quarters of a kilogram became 0 in a column of whole numbers, twice, without an error. With the property `delta.enableTypeWidening` the write made the
# INT column a DOUBLE. (Elsewhere
# this step may be left to you: `ALTER TABLE … ALTER COLUMN quantity TYPE DOUBLE`.) From BIGINT to DOUBLE there is no way at all, since large numbers would
# lose digits. JSON readers infer BIGINT
# for whole numbers, so a table whose types come from its first file is stuck there. Choose types for what a column *means*, not for what the first file holds.
#
# ### The other half: RESTORE
#
# A crash is half of the trouble. The other half is a batch that ran well and wrote nonsense. Delta keeps the versions; `RESTORE` makes an old one the current
# one again:

# %% tags=["demo"]
good = spark.sql("DESCRIBE HISTORY lesson_sales").selectExpr("min(version) + 1").first()[0]
print("rows now:            ", spark.table("lesson_sales").count())
print("rows of the version: ", spark.read.option("versionAsOf", good).table("lesson_sales").count())
spark.sql(f"RESTORE TABLE lesson_sales TO VERSION AS OF {good}")
print("rows after RESTORE:  ", spark.table("lesson_sales").count())

# %% [markdown]
# RESTORE rewinds the table and not the stream: the checkpoint still says that those batches are finished, so their rows will not come again by themselves.
# After a RESTORE, repair the
# code, then replay: read the affected files once as a batch through the same function, or start with a new checkpoint, if the write goes by a key. And both
# halves end with the retention of lesson 10 of module 1: no version, no RESTORE.
#
# **On Databricks.** Auto Loader (`cloudFiles`) is the file source there. It keeps the names of the files that it has seen in a RocksDB store in the checkpoint,
# and can learn of new ones from storage events instead of listing. It infers the schema, keeps it in `cloudFiles.schemaLocation`, and reads JSON columns as
# text unless told otherwise. `cloudFiles.schemaEvolutionMode` decides
# about new columns: `addNewColumns` (the default without a schema of yours) stops the stream with an error *after* it has noted the new schema, so the
# restart by the job goes on with it; `addNewColumnsWithTypeWidening` also widens types; `rescue` puts what does not fit
# into the column `_rescued_data` and goes on; `failOnNewColumns` and `none` do what they say. With an inferred schema, values that don't fit their column's
# type are kept in `_rescued_data` too, so they are not lost, but somebody
# has to look there. `badRecordsPath` keeps lines and files that can't be read. Jobs restart failed streams by themselves if you give them retries; expect and
# allow that. RESTORE and type widening are the same. Type widening is generally available there since runtime 15.4.
#
# **Read on:** [Spark: recovery after changes in a query](https://spark.apache.org/docs/latest/streaming/apis-on-dataframes-and-datasets.html#recovery-semantics-after-changes-in-a-streaming-query),
# [Spark: options of file sources](https://spark.apache.org/docs/latest/sql-data-sources-generic-options.html), [Delta: type widening](https://docs.delta.io/delta-type-widening),
# [Databricks: Auto Loader schema evolution](https://docs.databricks.com/aws/en/ingestion/cloud-object-storage/auto-loader/schema), [Databricks: streaming checkpoints](https://docs.databricks.com/aws/en/structured-streaming/checkpoints).

# %% [markdown]
# ### Step 2b.5: Recovery
#
# Write a pipeline that survives, and prove it. Sales arrive in a folder as files with a JSON object a line, some of them compressed. You know their fields:
# `line_id`, `basket_id`, `store_id`, `product_id`, `quantity`, `sales_value`, `sold_on`. You
# also know the source: uploads break off; what is broken is sent again whole, under another name; after an outage the last file is sent once more, to be on
# the safe side. And a change is announced: one more
# text column, whose name nobody could tell you yet, and `quantity` in kilograms for goods by weight.
#
# `rehearse` calls your function seven times. It kills the process of your batch function twice: once before the function has done anything, once when it has
# done
# everything and its batch is not committed yet. Between the calls it delivers files, some of them broken off; it takes the source's folder away; and at last
# it plays a clean run with the same deliveries.
#
# **Produce**
# 1. a function `resume(source, checkpoint, table, quarantine)` that takes two folders and the full names of two tables. It creates the tables if they are not
#    there, starts or resumes a stream (with `foreachBatch`
#    and `availableNow`) that works off the new files in `source`, and returns when that has ended. If a file can't be read to its end, none of it goes into
#    the table; the
#    quarantine table gets a row with `file` (the name without the folder) and `reason`. Without its source the stream should fail and leave all as it is;
# 2. `rehearsal = rehearse(lab, resume)`, which makes the tables `recovered_sales` and `quarantine`. It removes what an earlier rehearsal left.
#
# **Checked:** that `recovered_sales` has every line once, with its values, and the later column (null for older lines); that each broken file is in
#    `quarantine` once, with a reason; that the table's history
# shows whole files, delivery by delivery; that in `rehearsal` each start left what it should and the checkpoint lost nothing.

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
