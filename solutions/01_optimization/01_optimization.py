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
# # Module 1: Optimization
#
# A query that takes ten minutes is rarely slow everywhere. One join moves too many rows, or a table's files are laid out for
# nobody's question. This module is about finding the place, proving that it is the place, and changing one thing.
#
# | part | you learn to | exercise |
# |---|---|---|
# | Lessons 1 to 6 | size a cluster, read a plan, read the Spark UI, choose joins, partitions and caches | 1a, performance tuning |
# | Lessons 7 to 10 | lay out Delta tables for the queries they get, keep views fresh, keep history for as long as it pays | 1b, Delta layout |
#
# The data is a real grocery retailer's year: 1.5 million sales lines, 92 thousand products, and where each product was on
# display. Spark 4.2 and Delta Lake 4.4 run on this machine. Seconds differ from machine to machine, so every
# claim here rests on something that does not: bytes shuffled, files read, operators in a plan.
#
# **How the exercises work.** Each step has a cell for your answer and a check cell below it. A check looks at what the engine did with your
# answer: the plan, the table's history, the figures of the run. It never looks at how your code is written. It tells what it
# found and what it expected, and holds hints that unfold one at a time.

# %% tags=["parameters"]
SEED = 0  # which variation of the data; the checks know what it holds

# %% tags=["setup"]
from statistics import median

import pandas as pd
from pyspark.sql import functions as F

from labs_lib import check, open_lab, progress, run_pipeline, spark_conf, write_pipeline
from labs_lib.measuring import bars, file_ranges, files_opened, measure, outline, plan_graph, ranges
from labs_lib.optimization import table_with_a_past

lab = open_lab("01_optimization", seed=SEED)
spark = lab.spark
print("The Spark UI of this server:", lab.ui)

# %% [markdown]
# The Spark UI behind that link is live: open it beside this notebook. The first cell started one Spark server, and every notebook
# you open shares it.
#
# `lab.load` puts a course table into this notebook's database as a Delta table of your own. You may change or break it:
# `lab.load(name, fresh=True)` brings it back.

# %%
transactions = lab.load("transactions")
products = lab.load("products")
promotions = lab.load("promotions")
stores = lab.load("stores")
for name in ("transactions", "products", "promotions", "stores"):
    print(f"{name:<13} {spark.table(name).count():>9,} rows  {', '.join(spark.table(name).columns[:6])}")

# %% [markdown]
# ## Lesson 1: What a cluster is made of, and what each choice costs
#
# A cluster is a number of cores, an amount of memory per core, and a price per hour. Three choices matter more than all others:
#
# | choice | what speaks for more | what it costs |
# |---|---|---|
# | **Kind of worker** | joins and aggregations that spill: more memory per core. Parsing, compressing, Python functions: more cores | memory-optimized machines cost about a third more per core |
# | **Number of workers, autoscaling** | load that comes and goes. Set the lower bound to what the quiet hours need | scaling up takes minutes; scaling down loses shuffle files and caches on the machines that go. A job of steady size runs cheaper at a fixed size |
# | **Spot machines** | work that can be repeated. Often 60 to 80 % cheaper | they can be taken away at any time: the driver belongs on a regular machine, and lost tasks are computed again |
#
# A job cluster for a nightly pipeline on Databricks might look like this:
#
# ```json
# {
#   "spark_version": "17.3.x-scala2.13",
#   "node_type_id": "r6id.xlarge",
#   "autoscale": {"min_workers": 2, "max_workers": 10},
#   "aws_attributes": {"first_on_demand": 1, "availability": "SPOT_WITH_FALLBACK"}
# }
# ```
#
# There is no `spark_conf` in it, and that is deliberate. Older advice, such as 200 shuffle partitions for everything, comes from before *adaptive
# query execution* (AQE). Since Spark 3.2 AQE is on by default: it looks at the real size of each shuffle before it plans what comes after.
#
# See what that is worth. The same small aggregation, at 200 partitions, without AQE and with it. (`spark_conf` sets Spark settings for a `with` block and
# puts back what was there; `spark.conf.unset` would give Spark's default instead of this server's value.)

# %% tags=["demo"]
sales_per_store = transactions.groupBy("store_id").agg(F.sum("sales_value").alias("sales"))
tasks = {}
for adaptive in (False, True):
    with spark_conf(spark, {"spark.sql.shuffle.partitions": 200, "spark.sql.adaptive.enabled": adaptive}):
        run = measure(sales_per_store)
    tasks["with AQE" if adaptive else "without AQE"] = max(stage.tasks for stage in run.stages)
    print(f"adaptive={adaptive!s:<5}  most tasks in one stage: {max(stage.tasks for stage in run.stages):>3}  shuffle: {run.shuffle_bytes / 1000:,.0f} kB")
bars(tasks, "One small aggregation at 200 shuffle partitions", "tasks in its largest stage", highlight=["without AQE"])

# %% [markdown]
# Two hundred tasks for some kilobytes: starting each of them costs more than its work. AQE saw the size and merged the partitions.
#
# A setting is right for a size of data. A rule that names no size ("200 partitions", "8 GB of memory") is a guess. What holds:
#
# * **Shuffle partitions**: aim at 100 to 200 MB a partition *before* AQE, never fewer than there are cores. AQE merges partitions that turn out too small;
#   it can't invent more of them, except in a skewed join.
# * **Input partitions**: `spark.sql.files.maxPartitionBytes` (128 MB) decides how many bytes of files one task reads. Few large files and many
#   idle cores ask for less.
#
# The second one at work on the promotions, whose files take about 5 MB together:

# %% tags=["demo"]
for size in ("128m", "1m"):
    with spark_conf(spark, {"spark.sql.files.maxPartitionBytes": size}):
        run = measure(promotions)
    print(f"maxPartitionBytes={size:<5} tasks that read the table: {max(stage.tasks for stage in run.stages)}")

# %% [markdown]
# **On Databricks.** The settings are the same. Photon, the vectorized engine there, replaces operators in the plan by ones with `Photon` in their
# names; serverless compute leaves you no cluster to size and few settings to set, so the layout of the data matters all the more.
# Optimized writes and auto compaction are on there for most writes; here they are off until you ask (lesson 7).
#
# **Read on:** [Spark: performance tuning](https://spark.apache.org/docs/latest/sql-performance-tuning.html),
# [Databricks: compute configuration](https://docs.databricks.com/aws/en/compute/cluster-config-best-practices).

# %% [markdown]
# ## Lesson 2: Statistics, and what the cost-based optimizer does with them
#
# Why it matters: the most expensive decision in a plan, how to join, rests on an estimate of size. Without statistics, Spark takes the
# size of the files and assumes that **a filter keeps everything**.
#
# `ANALYZE TABLE` counts rows and, per column, distinct values, minimum, maximum and nulls. With `spark.sql.cbo.enabled` the optimizer uses them. In open source
# this works for Parquet tables, not for Delta tables, so the example copies the promotions to Parquet. The query wants those of one week in
# the year:

# %% tags=["demo"]
spark.sql("DROP TABLE IF EXISTS promotions_parquet")
spark.sql("CREATE TABLE promotions_parquet USING parquet AS SELECT * FROM promotions")
question = """SELECT count(*) FROM transactions t JOIN promotions_parquet p
              ON t.product_id = p.product_id AND t.store_id = p.store_id WHERE p.week = 40"""


def joins(frame):
    return [line.split("─ ")[-1].split(" ")[0] for line in outline(frame, show=False).splitlines() if "Join" in line]


with spark_conf(spark, {"spark.sql.autoBroadcastJoinThreshold": "1MB", "spark.sql.cbo.enabled": True}):
    print("without statistics:", joins(spark.sql(question)))
    spark.sql("ANALYZE TABLE promotions_parquet COMPUTE STATISTICS FOR ALL COLUMNS")
    print("with statistics:   ", joins(spark.sql(question)))

# %% [markdown]
# Same query, same data, same threshold: one shuffles 1.5 million sales lines, the other sends the week's promotions to each task instead.
# Mind what the estimate assumes, though: that all values of a column are equally frequent. For skewed columns it can be far off.
#
# **On Databricks.** `ANALYZE TABLE` works on Delta tables there, and predictive optimization runs it for managed tables of Unity Catalog. In open source, Delta
# keeps minimum and maximum per *file* for skipping files (lesson 7), which is something else: it does not tell the optimizer how many rows come out of a filter.
#
# **Read on:** [Spark: ANALYZE TABLE](https://spark.apache.org/docs/latest/sql-ref-syntax-aux-analyze-table.html).

# %% [markdown]
# ## Lesson 3: Reading a plan
#
# `explain()` prints the physical plan: a tree whose root is the result and whose leaves are the scans. Read it from the leaves up, and look
# for four things first:
#
# | operator | what it means |
# |---|---|
# | `Exchange` | a shuffle: every row is written to disk, sent, and read again. What you most want fewer of |
# | `SortMergeJoin` | both sides shuffled by the key and sorted |
# | `BroadcastHashJoin` | the small side sent whole to every task; the large side stays where it is |
# | `FileScan` | which columns are read (`ReadSchema`), and which filters go down to the files (`PushedFilters`) |
#
# `outline` prints the same plan without ids and paths. Here are the sales of each department:

# %% tags=["demo"]
departments = transactions.join(products, "product_id").groupBy("department").agg(F.sum("sales_value").alias("sales"))
outline(departments)

# %% [markdown]
# Spark broadcast the products by itself, since their files are smaller than `spark.sql.autoBroadcastJoinThreshold` (10 MB by default). The only
# `Exchange` is above the partial aggregation: a few rows per department. `isFinalPlan=false` in the output of `explain()` says that AQE may still change it
# while it runs; the SQL tab of the Spark UI shows what it became.
#
# The same plan as a picture, with what moves data in orange:

# %% tags=["demo"]
plan_graph(departments, "Sales per department")

# %% [markdown]
# **On Databricks.** The query profile shows this tree with times and rows per operator. `explain()` works the same.
#
# **Read on:** [Spark: EXPLAIN](https://spark.apache.org/docs/latest/sql-ref-syntax-qry-explain.html).

# %% [markdown]
# ## Lesson 4: The Spark UI, by eye and by program
#
# | tab | question it answers |
# |---|---|
# | Jobs, Stages | which stage takes the time? Are its tasks alike (median against maximum), or does one run alone: *skew*? Did memory run out: *spill*? |
# | SQL / DataFrame | the plan that really ran, with rows and bytes per operator |
# | Storage | what is cached, how much of it in memory |
# | Executors | are all cores busy, or is one machine doing the work? |
#
# Everything it shows can be had as JSON from the same address (`/api/v1/applications/...`), which is what monitoring tools read. `measure` runs
# a DataFrame to its end, throws the rows away, and fetches these figures for that run alone. It finds its own jobs by a tag that it set with `spark.addTag`.

# %% tags=["demo"]
weekly = transactions.groupBy("household_id", "week").agg(F.sum("sales_value").alias("spent")).groupBy("week").agg(F.avg("spent"))
run = measure(weekly, "average spending per week")
pd.DataFrame(
    [
        {"rows read": stage.input_records, "kB read from shuffles": stage.shuffle_read / 1e3, "kB written for shuffles": stage.shuffle_write / 1e3}
        for stage in run.stages
        if stage.input_records > 1000 or stage.shuffle_read
    ]
).round()

# %% [markdown]
# `stage.run_time` is the time of all its tasks together, in milliseconds. Compare stages by that: ten tasks that run at once for a second are ten seconds of
# work. (It differs from run to run, so it is not in the table.) The two columns on the right say how much each stage took over from earlier ones and left for later ones: the scan feeds the sums per household
# and week, these feed the averages per week.
#
# **On Databricks.** The classic compute page has the same UI, and the cluster's Metrics tab replaced Ganglia. Serverless compute has no
# Spark UI, only the query profile; `labs_lib`'s checks need the REST interface, so run this module on classic compute if you run it there.
#
# **Read on:** [Spark: web UI](https://spark.apache.org/docs/latest/web-ui.html), [monitoring and REST API](https://spark.apache.org/docs/latest/monitoring.html#rest-api).

# %% [markdown]
# ## Lesson 5: Joins, skew and repartitioning
#
# A **shuffled** join costs what it moves: both sides, once. A **broadcast** join costs the small side, times the number of executors, in memory. Spark takes
# the broadcast when its *estimate* of a side is below the threshold. It misses it when the estimate is wrong, or when somebody
# turned the threshold off after a broadcast had filled a driver's memory. `F.broadcast(frame)` or the hint `/*+ BROADCAST(name) */` decides it for one query.
#
# **Skew** is when a few keys have most rows. All rows of a key meet in one task, so the largest key bounds how fast a shuffled join can
# be, however many machines there are. How skewed are sales by product?

# %% tags=["demo"]
per_product = transactions.groupBy("product_id").count().toPandas()["count"].sort_values(ascending=False)
shares = {f"top {n:,}": 100 * per_product.head(n).sum() / per_product.sum() for n in (10, 100, 1000, 10_000)}
print(f"{len(per_product):,} products; the largest has {per_product.max() / per_product.mean():,.0f} times the average number of lines")
bars(shares, "Share of the sales lines that the best-selling products have", "% of all lines", digits=3)

# %% [markdown]
# Remedies, in the order to try them: **broadcast** (then nothing meets anywhere); **AQE's skew join**, on by default, which splits a partition that is five times the median
# and larger than 256 MB; **salting by hand**: a random digit on the large side's key, and each row of the other side once per digit. A popular recipe salts only one
# side, by `spark_partition_id()`: then rows that belong together no longer meet, or, where the key is left as it was, nothing is spread. Module 5 measures that.
#
# **`repartition(n, key)` is a shuffle.** It pays when what follows needs that partitioning several times, or when a few huge partitions leave cores idle.
# It does not pay "for parallelism" before a join that will shuffle by its own keys anyhow. `coalesce(n)` makes fewer partitions without a shuffle, at the price of
# less parallelism in everything before it.

# %% tags=["demo"]
once = transactions.groupBy("product_id").count()
twice = transactions.repartition(64, "store_id").groupBy("product_id").count()
for name, frame in {"as it is": once, "repartitioned first": twice}.items():
    print(f"{name:<20} shuffle: {measure(frame).shuffle_bytes / 1e6:5.1f} MB")

# %% [markdown]
# **On Databricks.** The same hints and settings hold. With Photon a shuffled *hash* join often replaces the sort-merge join. The `SKEW` hint is no longer needed there:
# AQE took its place.
#
# **Read on:** [Spark: join hints](https://spark.apache.org/docs/latest/sql-ref-syntax-qry-select-hints.html), [AQE skew join](https://spark.apache.org/docs/latest/sql-performance-tuning.html#optimizing-skew-join).

# %% [markdown]
# ## Lesson 6: Caching
#
# `cache()` marks a DataFrame; the first action stores what it computes; later plans that contain the same computation read it instead.
# It pays when something *expensive* is used *several times*, soon, and fits into memory. It costs that memory, and the first run becomes slower.

# %% tags=["demo"]
expensive = transactions.join(products, "product_id").groupBy("store_id", "department").agg(F.sum("sales_value").alias("sales"))
before = measure(expensive)
expensive.cache()
expensive.count()  # an action: this is where it is computed and stored
after = measure(expensive)
expensive.unpersist()
print(f"files read by the query: {before.files_read} before, {after.files_read} from the cache")
print(f"shuffle: {before.shuffle_bytes / 1000:.0f} kB before, {after.shuffle_bytes / 1000:.0f} kB from the cache")

# %% [markdown]
# Two mistakes are common. Caching before a filter keeps rows that nobody needs. And a cache is a copy: when another writer
# changes the table, a cached DataFrame still answers from the old rows.
#
# **On Databricks.** The *disk cache* keeps copies of remote files on the workers' SSDs by itself, which makes `cache()` on a plain table scan useless there.
# Serverless compute does not support `cache()`.
#
# **Read on:** [Spark: caching data](https://spark.apache.org/docs/latest/sql-performance-tuning.html#caching-data).

# %% [markdown]
# ## Exercise 1a: Performance tuning
#
# A colleague asks why this query is slow. For each department and place of display it counts *exposures*: pairs of a sales line and a promotion of the same product in
# the same week, anywhere in the chain; and it adds up the sales of those lines. The join makes more than three million rows. Somebody set the broadcast threshold to -1 on this
# cluster after an out-of-memory error, and somebody else read that repartitioning helps.

# %%
spark.conf.set("spark.sql.autoBroadcastJoinThreshold", "-1")
slow = (
    transactions.repartition(64, "product_id")
    .join(products, "product_id")
    .join(promotions, ["product_id", "week"])
    .groupBy("department", "display_location")
    .agg(F.count("*").alias("exposures"), F.sum("sales_value").alias("sales"))
)
slow_run = measure(slow, "slow")
slow.orderBy(F.desc("exposures")).withColumn("sales", F.round("sales").cast("long")).show(5)

# %% [markdown]
# ### Step 1a.1: Find the slow stage
#
# Where does the time go? Use the figures in `slow_run`, or open the Stages tab and look; `slow_run.stages` has the same numbers.
#
# **Produce** `slow_stage`, a dict about the stage with the most task time:
# `stage` (its id), `shuffle_bytes` (bytes it *read* from shuffles), `share` (its part of the run's whole task time, 0 to 1).
#
# **Checked:** the stage, its bytes and its share, against the Spark UI's REST interface for this very run.

# %% tags=["answer:1a.1"]
# Put a dict with stage, shuffle_bytes and share into slow_stage.
### BEGIN SOLUTION
slowest = max(slow_run.stages, key=lambda stage: stage.run_time)
slow_stage = {
    "stage": slowest.id,
    "shuffle_bytes": slowest.shuffle_read,
    "share": slowest.run_time / slow_run.run_time,
}
### END SOLUTION

# %% tags=["check:1a.1"]
check("1a.1")

# %% [markdown]
# ### Step 1a.2: Name the bottleneck
#
# That stage joins. Which join is it, and what is special about its keys?
#
# **Produce**
# * `hot_keys`, a DataFrame: the products that have at least **100 times** the average number of sales lines (lines per product, averaged over the products that were sold).
#   Columns `product_id`, `lines` and `share` (of all sales lines, 0 to 1).
# * `shuffle_join`, a dict about the join with the most work: of those that shuffle both sides, the one closest to the result. `operator` is its
#   name in the plan, `keys` the list of its key columns.
#
# **Checked:** the rows of `hot_keys`; operator and keys against the plan that Spark makes for `slow`.

# %% tags=["demo"]
outline(slow)

# %% tags=["answer:1a.2"]
# Put a DataFrame into hot_keys, and a dict with operator and keys into shuffle_join.
### BEGIN SOLUTION
lines = transactions.groupBy("product_id").agg(F.count("*").alias("lines"))
totals = lines.agg(F.avg("lines").alias("average"), F.sum("lines").alias("total"))
hot_keys = (
    lines.crossJoin(F.broadcast(totals))
    .where(F.col("lines") >= 100 * F.col("average"))
    .select("product_id", "lines", (F.col("lines") / F.col("total")).alias("share"))
)
shuffle_join = {"operator": "SortMergeJoin", "keys": ["product_id", "week"]}
### END SOLUTION

# %% tags=["check:1a.2"]
check("1a.2")

# %% [markdown]
# ### Step 1a.3: Fix it
#
# Write the query again so that it gives the same rows with less movement. The cluster's threshold stays at -1, as others may rely on it: decide
# within the query.
#
# **Produce** `tuned`, a DataFrame with the columns and rows of `slow`.
#
# **Checked:** the rows; that each join in its plan is a `BroadcastHashJoin`; that the transactions are not moved (no `Exchange`) between their scan and the last join.

# %% tags=["answer:1a.3"]
# Put the better query into tuned.
### BEGIN SOLUTION
listed = promotions.groupBy("product_id", "week", "display_location").agg(F.count("*").alias("times"))
tuned = (
    transactions.join(F.broadcast(products.select("product_id", "department")), "product_id")
    .join(F.broadcast(listed), ["product_id", "week"])
    .groupBy("department", "display_location")
    .agg(F.sum("times").alias("exposures"), F.sum(F.col("times") * F.col("sales_value")).alias("sales"))
)
### END SOLUTION

# %% tags=["check:1a.3"]
check("1a.3")

# %% [markdown]
# ### Step 1a.4: Measure before and after
#
# One run proves little: the first one pays for compiling and for cold file caches. Measure each query at least three times.
#
# **Produce**
# * `slow_runs` and `tuned_runs`: lists of three or more results of `measure`, one for each run;
# * `reduction`, a float: the median of the slow runs' `shuffle_bytes` divided by the median of the tuned runs'. It should be 2.5 or more.
#
# Draw the medians as well (`bars` takes a dict): a picture convinces a colleague faster than a table.
#
# **Checked:** the runs and their shuffle bytes, read from the engine again; the ratio; the effect.

# %% tags=["answer:1a.4"]
# Fill slow_runs, tuned_runs and reduction.
### BEGIN SOLUTION
slow_runs = [measure(slow, "slow") for _ in range(3)]
tuned_runs = [measure(tuned, "tuned") for _ in range(3)]
medians = {
    name: median(run.shuffle_bytes for run in runs) / 1e6 for name, runs in (("slow", slow_runs), ("tuned", tuned_runs))
}
reduction = medians["slow"] / medians["tuned"]
bars(medians, "Shuffled in each run, median of three", "MB", highlight=["slow"], digits=2)
### END SOLUTION

# %% tags=["check:1a.4"]
check("1a.4")

# %% [markdown]
# ### Step 1a.5: Write the tuning card
#
# The next person should not have to find all this again. Write down which settings suit this workload and why, and set them in this session.
#
# **Produce** `tuning_card`, a pandas DataFrame or a list of dicts, one row per setting, with `setting`, `value` and `reason`. It needs
# `spark.sql.autoBroadcastJoinThreshold`, `spark.sql.shuffle.partitions` and `spark.sql.adaptive.enabled`; add others if they matter.
# A reason is a sentence with a figure from this workload.
#
# **Checked:** that this session has each value; that the threshold admits the products table and not everything; that the partitions suit a shuffle of this size; that each reason names a figure.

# %% tags=["answer:1a.5"]
# Set what you recommend with spark.conf.set, then fill tuning_card.
### BEGIN SOLUTION
spark.conf.set("spark.sql.autoBroadcastJoinThreshold", "10MB")
spark.conf.set("spark.sql.shuffle.partitions", "4")
spark.conf.set("spark.sql.adaptive.enabled", "true")
reasons = {
    "spark.sql.autoBroadcastJoinThreshold": "The products' files take about 1.2 MB; at -1 a join with them shuffled 1.5 million lines.",
    "spark.sql.shuffle.partitions": "The largest shuffle was about 20 MB: 4 partitions for 2 cores, about 5 MB each.",
    "spark.sql.adaptive.enabled": "It merges small partitions: 200 tasks for a few kB became a handful.",
}
tuning_card = pd.DataFrame([{"setting": s, "value": spark.conf.get(s), "reason": r} for s, r in reasons.items()])
### END SOLUTION

# %% tags=["check:1a.5"]
check("1a.5")

# %% [markdown]
# ## Lesson 7: Files, statistics and data skipping
#
# A Delta table is a folder of Parquet files and a log that says which of them count. For each file the log keeps the minimum and
# maximum of the first 32 columns. A query with a filter opens only files whose range can hold what it wants: **data skipping**. It
# works as well as the ranges are narrow.
#
# The transactions came in order of time, in eight batches. Each line below is one file and the range that it covers:

# %% tags=["demo"]
ranges(
    {column: file_ranges(lab.path("transactions"), column) for column in ("transaction_date", "product_id")},
    "What each file of transactions covers",
    "smallest to largest value",
)

# %% [markdown]
# By date each file covers a stretch of its own. By product every file covers everything. The engine's own figures say the same:

# %% tags=["demo"]
best_seller = transactions.groupBy("product_id").count().orderBy(F.desc("count")).first().product_id
last_day = transactions.agg(F.max("transaction_date")).first()[0]
for condition in (f"transaction_date = DATE'{last_day}'", f"product_id = {best_seller}"):
    column = condition.split(" ")[0]
    print(f"filter on {column:<17} files read: {measure(spark.table('transactions').where(condition)).files_read} of 8")

# %% [markdown]
# **Small files** are the other trouble: each costs a request, a footer to read and an entry in the log. Streams and frequent appends make many. `OPTIMIZE` merges them:

# %% tags=["demo"]
lab.drop("small_files")
transactions.where("week <= 4").repartition(40).write.saveAsTable("small_files")
files_before = spark.sql("DESCRIBE DETAIL small_files").first().numFiles
spark.sql("OPTIMIZE small_files")
files_after = spark.sql("DESCRIBE DETAIL small_files").first().numFiles
print(f"{files_before} files before OPTIMIZE, {files_after} after")

# %% [markdown]
# The rows are the same, and so is the order within: compaction repairs the *number* of files, not what they cover. Two settings
# prevent small files in the first place: `spark.databricks.delta.optimizeWrite.enabled` shuffles before it writes, so that each partition gets few files; `spark.databricks.delta.autoCompact.enabled` merges
# small files right after a write, once there are `autoCompact.minNumFiles` of them (50 by default).

# %% tags=["demo"]
delta = "spark.databricks.delta"
ways = {
    "plain": {},
    "optimized writes": {f"{delta}.optimizeWrite.enabled": True},
    "auto compaction": {f"{delta}.autoCompact.enabled": True, f"{delta}.autoCompact.minNumFiles": 4},
}
written = {}
for way, settings in ways.items():
    lab.drop("by_week")
    with spark_conf(spark, settings):
        transactions.where("week <= 8").repartition(8).write.partitionBy("week").saveAsTable("by_week")
    written[way] = spark.sql("DESCRIBE DETAIL by_week").first().numFiles
bars(written, "Files of eight weekly partitions that eight tasks wrote", "files", highlight=["plain"])

# %% [markdown]
# **On Databricks.** Predictive optimization runs OPTIMIZE, ANALYZE and VACUUM for managed tables of Unity Catalog. Optimized writes are on for MERGE, UPDATE and DELETE, and for partitioned tables.
#
# **Read on:** [Delta: optimizations](https://docs.delta.io/latest/optimizations-oss.html), [Databricks: data skipping](https://docs.databricks.com/aws/en/delta/data-skipping).

# %% [markdown]
# ## Lesson 8: Partitioning, Z-order, liquid clustering
#
# Three ways to decide which rows share a file:
#
# | | how | good for | what goes wrong |
# |---|---|---|---|
# | **Partitioning** | a folder per value | few values with a gigabyte or more each; deleting whole partitions | a column with many values makes a small file for each. "Partition by high-cardinality columns" is the advice to ignore |
# | **Z-order** | `OPTIMIZE t ZORDER BY (a, b)` interleaves the sort order of a few columns | several filter columns, any number of values | each further column widens the ranges of all others; new data is not ordered until the next OPTIMIZE, which rewrites everything |
# | **Liquid clustering** | `CLUSTER BY (a, b)` in the table's definition; OPTIMIZE clusters what is new | tables that grow, keys that may have to change | up to four keys; can't be combined with partitioning or Z-order |
#
# First the failure, so that you know it when you see it. A partition for each day, ten weeks long:

# %% tags=["demo"]
lab.drop("per_day")
spark.sql("CREATE TABLE per_day PARTITIONED BY (transaction_date) AS SELECT * FROM transactions WHERE week <= 10")
detail = spark.sql("DESCRIBE DETAIL per_day").first()
print(f"ten weeks in {detail.numFiles} files, {detail.sizeInBytes / detail.numFiles / 1000:.0f} kB each on average")

# %% [markdown]
# A file should have something like 100 MB to 1 GB. This course's tables have some MB in all, so we scale the target along: OPTIMIZE shall aim at files of 256 KiB. Everything
# else is as it would be at ten thousand times the size.

# %%
spark.conf.set("spark.databricks.delta.optimize.maxFileSize", 256 * 1024)

# %% [markdown]
# Z-order on household and product, for ten weeks of sales and with smaller files still, so that there is something to see:

# %% tags=["demo"]
lab.drop("zordered")
spark.sql("CREATE TABLE zordered AS SELECT * FROM transactions WHERE week <= 10")
size_before = spark.sql("DESCRIBE DETAIL zordered").first().sizeInBytes
with spark_conf(spark, {"spark.databricks.delta.optimize.maxFileSize": 64 * 1024}):
    spark.sql("OPTIMIZE zordered ZORDER BY (household_id, product_id)")
ranges(
    {column: file_ranges(lab.path("zordered"), column) for column in ("household_id", "product_id")},
    "After Z-order by both: what each file covers",
    "smallest to largest value",
    exact=False,
)

# %% [markdown]
# Neither column is perfectly sorted, yet most files cover a part of each, where a batch as it came in covers nearly all of both: that is the bargain. Z-order also has a price that is easy to miss. Lines of one
# basket lay side by side and compressed well; sorted by something else, they do not:

# %% tags=["demo"]
size_after = spark.sql("DESCRIBE DETAIL zordered").first().sizeInBytes
bars(
    {"as it came in": size_before / 1e6, "Z-ordered": size_after / 1e6},
    "Size of the same rows",
    "MB",
    highlight=["Z-ordered"],
    digits=2,
    exact=False,
)

# %% [markdown]
#
# **Liquid clustering** stores its keys in the table. `CREATE TABLE ... CLUSTER BY (...) AS SELECT` sets them, `ALTER TABLE ... CLUSTER BY (...)` sets others, and rewrites nothing: the
# next OPTIMIZE clusters new files by the new keys, `OPTIMIZE ... FULL` all of them.
#
# **On Databricks.** Liquid clustering is generally available since runtime 15.4, and recommended for all new tables; `CLUSTER BY AUTO` lets the platform choose the keys from
# the queries it sees, which open source does not have. It writes clustered from the start for large enough batches.
#
# **Read on:** [Delta: liquid clustering](https://docs.delta.io/latest/delta-clustering.html), [Databricks: when to partition](https://docs.databricks.com/aws/en/tables/partitions).

# %% [markdown]
# ## Exercise 1b: Delta layout
#
# Layout follows from queries. Here is a week of them: two thousand statements that analysts ran on `transactions`.

# %%
query_log = lab.load("query_log")
query_log.select("user", "duration_ms", "sql_text").show(6, truncate=110)

# %% [markdown]
# ### Step 1b.1: Analyse query patterns
#
# By which columns do they filter, how often, and how much does such a filter keep? Each statement has one or two filters, joined by AND: `column = number`, or `transaction_date BETWEEN DATE'...' AND DATE'...'`.
#
# **Produce** `query_patterns`, a DataFrame with one row per filter column:
# * `filter_column`, its name;
# * `queries`, how many statements filter by it;
# * `share`, that number divided by the number of all statements;
# * `selectivity`: for each of those statements, the fraction of all rows of `transactions` that its filter *on this column alone* keeps; then the average over them.
#
# **Checked:** the rows and column names. Do not round.

# %% tags=["answer:1b.1"]
# Put a DataFrame into query_patterns.
### BEGIN SOLUTION
equal = r"(\w+) = (\d+)"
between = r"BETWEEN DATE'([\d-]+)' AND DATE'([\d-]+)'"
queries, rows = query_log.count(), transactions.count()
equalities = query_log.select(
    F.regexp_extract("sql_text", equal, 1).alias("filter_column"), F.regexp_extract("sql_text", equal, 2).cast("long").alias("value")
).where("filter_column <> ''")
kept_by_value = None
for column in ("household_id", "product_id", "store_id"):
    counted = transactions.groupBy(F.lit(column).alias("filter_column"), F.col(column).cast("long").alias("value")).agg(F.count("*").alias("kept"))
    kept_by_value = counted if kept_by_value is None else kept_by_value.unionByName(counted)
by_value = equalities.join(kept_by_value, ["filter_column", "value"], "left").select("filter_column", F.coalesce("kept", F.lit(0)).alias("kept"))
days = transactions.groupBy("transaction_date").agg(F.count("*").alias("lines"))
dated = query_log.select(
    "query_id",
    F.regexp_extract("sql_text", between, 1).alias("low"),
    F.regexp_extract("sql_text", between, 2).alias("high"),
).where("low <> ''")
by_date = (
    dated.join(F.broadcast(days), F.col("transaction_date").between(F.to_date("low"), F.to_date("high")))
    .groupBy("query_id")
    .agg(F.sum("lines").alias("kept"))
    .select(F.lit("transaction_date").alias("filter_column"), "kept")
)
query_patterns = (
    by_value.unionByName(by_date)
    .groupBy("filter_column")
    .agg(F.count("*").alias("queries"), (F.count("*") / queries).alias("share"), F.avg(F.col("kept") / rows).alias("selectivity"))
)
query_patterns.orderBy(F.desc("queries")).withColumn("selectivity", F.round("selectivity", 5)).show()
### END SOLUTION

# %% tags=["check:1b.1"]
check("1b.1")

# %% [markdown]
# ### Step 1b.2: Choose and apply a layout
#
# `files_opened` tells which share of a table's files the log's queries open on average, by the ranges in the Delta log:

# %%
texts = [row.sql_text for row in query_log.select("sql_text").collect()]
print(f"transactions as they came in: a query opens {files_opened(lab.path('transactions'), texts):.0%} of the files")

# %% [markdown]
# **Produce** the table `sales_layout`: all rows and columns of `transactions`, laid out for these queries. Partition it or not, and run
# OPTIMIZE, with Z-order if you think it helps. (The file size for OPTIMIZE is set above; answers should be safe to run twice, so begin with
# `lab.drop("sales_layout")`.)
#
# **Checked:** the rows; OPTIMIZE in the history; files of 64 KiB or more on average; and that the log's queries open **at most 70 %** of the share of files that they open in `transactions`.

# %% tags=["answer:1b.2"]
# Create and optimize the table sales_layout.
### BEGIN SOLUTION
by_use = query_patterns.where("filter_column <> 'transaction_date'").orderBy(F.desc("queries"))
first, second = (row.filter_column for row in by_use.limit(2).collect())
lab.drop("sales_layout")
spark.sql("CREATE TABLE sales_layout AS SELECT * FROM transactions")
spark.sql(f"OPTIMIZE sales_layout ZORDER BY ({first}, {second})")
print(f"a query opens about {round(10 * files_opened(lab.path('sales_layout'), texts))} in 10 of the files")
### END SOLUTION

# %% tags=["check:1b.2"]
check("1b.2")

# %% [markdown]
# ### Step 1b.3: Liquid clustering
#
# Keys chosen early are often wrong. Here somebody clustered by the date. Change it, and make the change reach the data.
#
# **Produce** the table `sales_clustered` with all rows of `transactions`: created with `CLUSTER BY (transaction_date)` and optimized; then altered to cluster by the **two columns,
# apart from the date, that most queries of the log filter by**, and optimized so that every file follows the new keys.
#
# **Checked:** the rows; the keys in the table's definition; the order of events in its history; the files that the log's queries open, as in 1b.2.

# %% tags=["answer:1b.3"]
# Create, optimize, alter and optimize the table sales_clustered.
### BEGIN SOLUTION
lab.drop("sales_clustered")
spark.sql("CREATE TABLE sales_clustered CLUSTER BY (transaction_date) AS SELECT * FROM transactions")
spark.sql("OPTIMIZE sales_clustered")
spark.sql(f"ALTER TABLE sales_clustered CLUSTER BY ({first}, {second})")
spark.sql("OPTIMIZE sales_clustered FULL")
print(f"a query opens about {round(10 * files_opened(lab.path('sales_clustered'), texts))} in 10 of the files")
### END SOLUTION

# %% tags=["check:1b.3"]
check("1b.3")

# %% [markdown]
# ## Lesson 9: Materialized views
#
# Why: ten dashboards that add up the same million rows do the same work ten times. A materialized view stores the result of a query as a table and is brought up to date
# by a **refresh**; what readers get is as fresh as the last one.
#
# In Spark 4.2 a materialized view lives in a *declarative pipeline*: Python or SQL files that say what each table should hold, and a runner that works out the order. (In open source plain SQL
# has no `CREATE MATERIALIZED VIEW` outside a pipeline.) `write_pipeline` puts a Python file and the spec that names it into this lab's folder; `run_pipeline` calls
# Spark's own `spark-pipelines run` on the server that you are using.

# %% tags=["demo"]
lab.drop("sales_per_department")
example = """
from pyspark import pipelines as dp
from pyspark.sql import SparkSession, functions as F

spark = SparkSession.active()


@dp.materialized_view
def sales_per_department():
    lines = spark.table("transactions").join(spark.table("products"), "product_id")
    return lines.groupBy("department").agg(F.sum("sales_value").alias("sales"))
"""
pipeline = write_pipeline(lab, "example", example)
print(pipeline.spec.read_text())

# %% tags=["demo"]
outcome = run_pipeline(pipeline.spec)
print("flows completed:", *outcome.completed)
spark.table("sales_per_department").orderBy(F.desc("sales")).withColumn("sales", F.round("sales").cast("long")).show(4)

# %% [markdown]
# Leave the format out: this server writes Delta by default, and in these versions naming it (`format="delta"`) makes the *second* refresh fail on a table property.
#
# A refresh here computes the view again, whole: the history shows TRUNCATE and WRITE.
#
# **On Databricks.** `CREATE MATERIALIZED VIEW` works in SQL warehouses too, `REFRESH MATERIALIZED VIEW` refreshes it, and where the query allows it the refresh is *incremental*: it
# reads only what changed. Declarative pipelines are called Lakeflow Spark Declarative Pipelines there; they were Delta Live Tables when much of what you will find was written, with `import dlt`.
#
# **Read on:** [Spark: declarative pipelines](https://spark.apache.org/docs/latest/declarative-pipelines-programming-guide.html), [Databricks: materialized views](https://docs.databricks.com/aws/en/views/materialized).

# %% [markdown]
# ### Step 1b.4: Materialized view
#
# Sales arrive in a table `sales_feed`. A dashboard wants them per day and region.
#
# **Produce**, in this order:
# 1. the table `sales_feed` with the rows of `transactions` of weeks 1 to 40;
# 2. a pipeline whose materialized view `daily_sales` joins `sales_feed` with `stores` and has, for each `transaction_date` and `region`, `sales` (sum of `sales_value`) and `lines` (number of rows); run it;
# 3. the rows of the later weeks, inserted into `sales_feed`; then the pipeline run again;
# 4. `pipeline_file`, the path of the pipeline's Python file (`write_pipeline(...).file`).
#
# **Checked:** that the file defines the view; that its history has two runs; that `sales_feed` is complete; that the view equals the query over all rows.

# %% tags=["answer:1b.4"]
# Lay sales_feed, write and run the pipeline, add the later weeks, run it again.
### BEGIN SOLUTION
lab.drop("sales_feed", "daily_sales")
spark.sql("CREATE TABLE sales_feed AS SELECT * FROM transactions WHERE week <= 40")
source = """
from pyspark import pipelines as dp
from pyspark.sql import SparkSession, functions as F

spark = SparkSession.active()


@dp.materialized_view
def daily_sales():
    located = spark.table("sales_feed").join(spark.table("stores"), "store_id")
    return located.groupBy("transaction_date", "region").agg(
        F.sum("sales_value").alias("sales"), F.count("*").alias("lines")
    )
"""
daily = write_pipeline(lab, "daily_sales", source)
run_pipeline(daily.spec)
print("rows in the view after the first run: ", spark.table("daily_sales").count())
spark.sql("INSERT INTO sales_feed SELECT * FROM transactions WHERE week > 40")
run_pipeline(daily.spec)
print("rows in the view after the second run:", spark.table("daily_sales").count())
pipeline_file = daily.file
### END SOLUTION

# %% tags=["check:1b.4"]
check("1b.4")

# %% [markdown]
# ## Lesson 10: History, retention and VACUUM
#
# Every commit leaves the files that it replaced where they are: readers that began earlier still need them, and time travel (`VERSION AS OF`) lives on them. They cost storage until `VACUUM` deletes them. Two windows decide:
#
# | property | keeps | default | what it costs to shorten |
# |---|---|---|---|
# | `delta.logRetentionDuration` | commits in the log | 30 days | history and time travel by time end earlier |
# | `delta.deletedFileRetentionDuration` | files that no longer count | 7 days | a reader or a stream that lags behind the window fails with a missing file |
#
# Time travel needs both: the commit, and its files. A log of 30 days does not make 30 days readable if files are kept for seven. Delta 4 is strict about it:
# it refuses a version whose commit is older than the window of files, even one whose files VACUUM has left because they were replaced inside the window.
#
# The log's own cleaning happens when a checkpoint is written. VACUUM happens when somebody runs it. `VACUUM t DRY RUN` lists what it would
# delete. `VACUUM t RETAIN 168 HOURS` names the window for one call; less than the property's is refused unless a safety check is turned off. Leave it on.
#
# Nobody can wait a week in an exercise, so `table_with_a_past` lays a table whose eight versions were written in the past weeks. It moves back the three clocks that Delta goes by, in the log and on the files; everything after
# that is the real engine's.

# %%
table_with_a_past(lab, "sales_retention")
history = spark.sql("DESCRIBE HISTORY sales_retention").select("version", "timestamp", "operation").toPandas()
history["days ago"] = (pd.Timestamp.now() - history.pop("timestamp")).dt.total_seconds().div(86_400).round(1)
history

# %% [markdown]
# **On Databricks.** Predictive optimization runs VACUUM for managed tables. `VACUUM ... LITE`, which goes by the log instead of listing the folder, exists in both. `UNDROP` can bring back a
# dropped table for seven days; open source has none.
#
# **Read on:** [Delta: VACUUM](https://docs.delta.io/latest/delta-utility.html#vacuum), [Delta: data retention](https://docs.delta.io/latest/delta-batch.html#data-retention).

# %% [markdown]
# ### Step 1b.5: Retention
#
# **Produce**
# 1. on the table `sales_retention` that the cell above laid: commits kept for 30 days, deleted files for 7 days, by table properties;
# 2. `dry_run`, a dict with `files`: how many files a dry run of VACUUM lists;
# 3. then the real VACUUM, with the table's own window;
# 4. `oldest_readable`, an int: the lowest version number whose rows can still be read with time travel.
#
# **Checked:** both properties; the dry run against what VACUUM deleted according to the history; that every version that was current in the last
# seven days still has its files and no older one has; the version number.
#
# To try again, run the cell above that lays the table, then yours.

# %% tags=["answer:1b.5"]
# Set the properties, fill dry_run, run VACUUM, fill oldest_readable.
### BEGIN SOLUTION
spark.sql(
    "ALTER TABLE sales_retention SET TBLPROPERTIES ("
    "'delta.logRetentionDuration' = 'interval 30 days', 'delta.deletedFileRetentionDuration' = 'interval 7 days')"
)
dry_run = {"files": spark.sql("VACUUM sales_retention DRY RUN").count()}
spark.sql("VACUUM sales_retention")


def can_be_read(version):
    try:
        spark.sql(f"SELECT sum(sales) FROM sales_retention VERSION AS OF {version}").collect()
        return True
    except Exception:
        return False


oldest_readable = next(version for version in range(8) if can_be_read(version))
print(f"VACUUM deleted {dry_run['files']} files; version {oldest_readable} is the oldest that can be read")
### END SOLUTION

# %% tags=["check:1b.5"]
check("1b.5")

# %% [markdown]
# ## What to take with you
#
# * Measure before you tune, by bytes, files and plan operators. Seconds are for the report.
# * The best setting is often the default, and the best shuffle is the one that does not happen.
# * A layout answers questions. Read the query log before you choose one, and look at it again when the questions change.
# * Retention is a promise to the slowest reader. Shorten it only when you know who that is.

# %% tags=["demo"]
progress("01_optimization")
