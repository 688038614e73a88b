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
# # Module 5: Resource management
#
# One team on a platform is a question of code. Three teams are a question of who may stop whose job, who waits for machines that stand idle elsewhere,
# and whose money it was. Somebody asks it on the day when something was deleted, something was late, or the bill came.
#
# | part | you learn to | exercise |
# |---|---|---|
# | Lessons 1 to 5: advanced queries: skewed joins, pruning, caching | find and prove what makes a query slow, and mend it | 5a, advanced queries |
# | Lessons 6 to 10: teams, pools, policies, queues and quotas, charging back | share a platform so that teams can't harm each other, wait little, and know what they spend | 5b, resources |
#
# **Where this runs.** Exercise 5a needs Spark and a real retailer's year; what it claims rests on bytes, files, rows and operators, never on seconds. Exercise 5b needs a workspace with many users, and no Spark. The course brings a local one: a service on this machine that speaks
# the REST interface of Databricks to the real `databricks-sdk`, and *enforces* what it is told. What you write is ordinary `WorkspaceClient` code.
#
# **How the exercises work.** You name what a run shows, write a query that runs better, set something up in the workspace, or write a function that does a job. Then the check *uses* it: it loads what you
# declared into a workspace of its own and tries it, as ten people, with sixty clusters, through a fresh week. How you got there doesn't matter.
# Requirements come in words, as a platform team gets them, with numbers that the seed draws.

# %% tags=["parameters"]
SEED = 0  # which variation of the data; the checks know what it holds

# %% tags=["setup"]
import json
import re
from collections import Counter
from datetime import timedelta
from statistics import median
from urllib.request import Request, urlopen

import pandas as pd
from databricks.sdk.errors import DatabricksError
from databricks.sdk.service.catalog import PermissionsChange, Privilege
from databricks.sdk.service.iam import AccessControlRequest, ComplexValue, PermissionLevel
from databricks.sdk.service.jobs import JobSettings, QueueSettings
from deltalake import write_deltalake
from IPython.display import Markdown, display
from pyspark.sql import functions as F

from labs_lib import check, open_lab, progress, spark_conf
from labs_lib.measuring import BLUE, GREY, ORANGE, bars, figure, measure, outline, rows_read, show
from labs_lib.resource_management import BEGIN, BOUNDS, DAY, RUNTIME
from labs_lib.resource_management import allowances, bars_of, company, exported, grid, lay, limits
from labs_lib.resource_management import month, rehearse, replay, starts, submissions
from labs_lib.resource_management.queries import CLUSTER, OLD_CLUSTER, cache_week, events_of, largest_share, offers_of
from labs_lib.resource_management.queries import operators, play_week, pruning_queries, scans_of
from labs_lib.resource_management.queries import skewed_join, slow_reports, spilled, task_bytes

lab = open_lab("05_resource_management", seed=SEED)
people = company(lab.seed)
for team, members in people.teams.items():
    print(f"{team:<10}", ", ".join(each.split("@")[0] for each in members))
print("platform  ", ", ".join(each.split("@")[0] for each in people.platform))
print("in two teams:", people.both, "| left the company:", people.left, "| in no team:", people.outside)

# %% [markdown]
# `lay(lab, "5b.1")` puts the local workspace into the state in which a step finds it, whatever was in it before; each answer begins with it, so it can
# be run again. `exported(lab)` is what is declared in the workspace now, as data.

# %% [markdown]
# ## Lesson 1: Reading a slow query for the second time
#
# Module 1 asked *where* a query spends its time. The second look asks *why*, and wants a figure that proves it. Guessing costs a day: somebody doubles the
# memory of a cluster because of a spill, and the spill came from one key that no memory holds. Four illnesses have a proof in the run's own figures:
#
# | illness | what happened | where it shows |
# |---|---|---|
# | **spill** | an operator had more rows at once than memory, and wrote them to disk | `Sort`, `Window`, an aggregate: *spill size* above 0; the stage's *Spill (disk)* |
# | **estimate** | Spark thought that a side was large, and shuffles the other one for it | a shuffled join above a `Filter` that lets few rows through |
# | **exchange** | the same rows are shuffled by the same key twice | two `Exchange` by one key over one table, and no `ReusedExchange` |
# | **cast** | a filter wraps its column, so the statistics of files can't be used | a scan that reads all files, and a `Filter` above it that throws nearly all rows away |
#
# `operators(run)` lists the operators of a measured run that say something, from the scans up. It asks the address behind the SQL tab, `/sql/<id>?details=true`. First a query
# that asks for one week in two ways. The cast in the second one changes nothing about its result:

# %%
spark = lab.spark
transactions = lab.load("transactions")
print("The Spark UI of this server:", lab.ui)

# %% tags=["demo"]
first = transactions.agg(F.min("transaction_date")).first()[0]
week = [first + timedelta(days=day) for day in (70, 76)]
plain = transactions.where(F.col("transaction_date").between(*week))
wrapped = transactions.where(F.col("transaction_date").cast("string").between(*map(str, week)))
for name, frame in {"a date compared with dates": plain, "the date cast to text": wrapped}.items():
    run = measure(frame.groupBy("store_id").agg(F.sum("sales_value")))
    print(f"{name:<28} files read: {run.files_read}, rows read: {rows_read(run):>9,}")
operators(run)

# %% [markdown]
# Delta keeps the smallest and the largest date of each file. It can compare a date with them, and can't ask of them what a text would be. (Spark unwraps some casts by itself, a
# whole number made longer, say. A date made text isn't one of them.)
#
# **An exchange is reused** when two places of a plan need the very same one: same input, same columns, same key. One column more on one side, and Spark does the work twice:

# %% tags=["demo"]
spent = transactions.repartition("household_id").groupBy("household_id").agg(F.sum("sales_value").alias("spent"))
others = {"the same columns": F.count("sales_value"), "one column more": F.max("week")}
with spark_conf(spark, {"spark.sql.adaptive.enabled": False, "spark.sql.autoBroadcastJoinThreshold": "-1"}):
    for name, other in others.items():
        frame = spent.join(transactions.repartition("household_id").groupBy("household_id").agg(other), "household_id")
        text = outline(frame, show=False)
        print(f"{name:<17} Exchange: {text.count('─ Exchange ')}, ReusedExchange: {text.count('ReusedExchange')}")

# %% [markdown]
# **On Databricks.** The query profile has the same figures per operator, spill among them; `system.query.history` has them per statement (`spilled_local_bytes`, `read_files`,
# `pruned_files`), so that the sick ones among a million are found with a query. Photon's operators have other names and the same illnesses.
#
# **Read on:** [Spark: SQL metrics](https://spark.apache.org/docs/latest/web-ui.html#sql-metrics), [Databricks: query profile](https://docs.databricks.com/aws/en/sql/user/queries/query-profile).

# %% [markdown]
# ## Lesson 2: What AQE does about skew, and what it can't
#
# When a label can't be read, a till books the line on a fallback product. So one product has a large share of all lines, and a join by product gives all of them to one task. The others
# have long finished. Here is that join: the year's lines, with the places in which each product was on offer.

# %% tags=["demo"]
with spark_conf(spark, CLUSTER):
    run = measure(skewed_join(lab))
joined = next(row for row in operators(run).to_dict("records") if row["operator"] == "SortMergeJoin")
tasks = task_bytes(run)
print(f"{joined['rows out']:,} joined rows; the largest of {len(tasks)} tasks has {tasks[0] / sum(tasks):.0%} of the bytes")
bars({f"task {place}": size / 1e6 for place, size in enumerate(tasks, start=1)}, "What the tasks of the join read", "MB", highlight=["task 1"], exact=False)

# %% [markdown]
# AQE's answer is to split such a partition and to send each piece to a task of its own, together with a copy of the other side's partition. `skew=true` stands at the join then. It does so when
# a partition is larger than *both*
#
# * `spark.sql.adaptive.skewJoin.skewedPartitionThresholdInBytes` (256 MB by default) and
# * `spark.sql.adaptive.skewJoin.skewedPartitionFactor` (5) times the median partition,
#
# and it makes pieces of about `spark.sql.adaptive.advisoryPartitionSizeInBytes` (64 MB). This laptop's partition has a few megabytes, so none of that happens here. **In this
# exercise thresholds come down with the data, by a factor of 1,000 or more**: kilobytes for megabytes. The effect is the same as a cluster's.
#
# Two limits are seldom told. AQE splits at the borders of map tasks' outputs, and never within one: **a hot key that two map tasks wrote can become two pieces at most.** Few
# large files make few map tasks. And it splits only where nothing else relies on the partitioning: with an aggregate by the same key straight above the join, it leaves the
# join alone, unless `spark.sql.adaptive.forceOptimizeSkewedJoin` says otherwise, at the price of one shuffle more.
#
# **On Databricks.** The same settings hold on classic compute; on serverless you don't set them, and it decides by itself. Check for `skew=true` before you believe that it did.
#
# **Read on:** [Spark: optimizing skew joins](https://spark.apache.org/docs/latest/sql-performance-tuning.html#optimizing-skew-join).

# %% [markdown]
# ## Lesson 3: Salting, and a recipe that doesn't
#
# Where AQE can't, you split the key yourself: a *salt*, a number from 0 to n - 1, becomes a second part of the key. The large side's rows of the hot key are dealt out over all salts, and the small
# side's rows of that key are there once per salt, so each pair still meets exactly once.
#
# | | large side | small side |
# |---|---|---|
# | hot key | one salt each, by a hash of what differs among its rows | a copy for each salt |
# | all others | 0 | 0 |
#
# Popular texts, the one that this course follows among them, take `spark_partition_id() % n` for the salt. That is the number of the *task* that reads a row. How many different salts do the rows of the hottest key get?

# %% tags=["demo"]
scanned = scans_of(lab)
hottest = scanned.groupBy("product_id").count().orderBy(F.desc("count")).first().product_id
salts = {
    "spark_partition_id() as read": (scanned, F.spark_partition_id() % 16),
    "spark_partition_id() after a shuffle by the key": (scanned.repartition(16, "product_id"), F.spark_partition_id() % 16),
    "a hash of the basket": (scanned, F.pmod(F.xxhash64("basket_id"), F.lit(16))),
}
with spark_conf(spark, CLUSTER):
    for name, (frame, salt) in salts.items():
        hot = frame.withColumn("salt", salt).where(F.col("product_id") == hottest)
        print(f"{name:<48} salts of the hottest key: {hot.select('salt').distinct().count():>2}")

# %% [markdown]
# As many as there are tasks that read, here two; and a single one where the rows were shuffled by the key before, which is where they usually come from. It isn't even a property of the row: the same
# row gets another salt when files are cut in another way. `rand()` spreads well, but what a row gets depends on its place among its task's rows, and after a shuffle that order isn't fixed: a task that is run again may deal its rows in another way, and some are
# then lost or doubled. A **hash of the row's own columns** is spread as well and always the same.
#
# Salting has a price: copies of the small side. So salt the hot keys and not everything, and take no more salts than there are partitions, or a few times as many.
#
# **On Databricks.** The same. Liquid clustering or a Z-order by the join key makes skew no smaller: it is a property of the data, and not of the files.
#
# **Read on:** [Spark: hints and joins](https://spark.apache.org/docs/latest/sql-performance-tuning.html#join-strategy-hints-for-sql-queries).

# %% [markdown]
# ## Lesson 4: Dynamic partition pruning
#
# A table in partitions by week is read in part if the query names the weeks. Mostly it doesn't: it names an *event*, and a calendar knows its weeks. **Dynamic partition pruning** (DPP) asks the
# calendar first, while the query runs, and gives its answer to the scan of the sales as a filter. Then only those partitions are opened.

# %% tags=["demo"]
sales, calendar, event = events_of(lab)
wanted = calendar.where(F.col("event") == event)
by_event = sales.join(wanted, (sales.week == wanted.week) & (sales.transaction_date == wanted.day)).groupBy("store_id").agg(F.sum("sales_value"))
by_weeks = sales.where(F.col("week").between(5, 8)).groupBy("store_id").agg(F.sum("sales_value"))
for name, frame in {"by the event": by_event, "by a range of weeks": by_weeks}.items():
    run = measure(frame)
    dynamic = "IN dynamicpruning#" in run.plan
    read = {row["of"]: row["files read"] for row in operators(run).to_dict("records") if row["of"]}
    print(f"{name:<20} files of sales_by_week read: {read['sales_by_week']:>2} of 53, dynamicpruning in the plan: {dynamic}")
outline(by_event)

# %% [markdown]
# Read the plan at the scan: below it stands a subquery, `SubqueryAdaptiveBroadcast dynamicpruning`. It reuses the broadcast that the join makes of the calendar anyhow, so it costs nothing.
#
# The second query reads few files as well, and **nothing about it is dynamic**: its weeks stand in its text, and Spark knew the files before anything ran. The example by which the source text introduces
# dynamic pruning is of this kind. So is a list of weeks that the driver collected and put into the query: right today, wrong when the calendar changes.
#
# What breaks it:
#
# | what | why |
# |---|---|
# | a key that is no partition column | the scan has no partitions by day: join by the week *as well* |
# | a Python function on the key | nobody can say what it does with the partitions' values |
# | a left join with the filter on its right side | all rows of the left have to come out anyhow |
# | a window over another key between scan and join | each of its frames needs all rows |
# | broadcasts that are off | `spark.sql.optimizer.dynamicPartitionPruning.reuseBroadcastOnly`: no broadcast, nothing to reuse; the plan says `dynamicpruningexpression(true)` |
#
# A cast of the partition column is on many such lists, and does no harm any more: Spark 4 applies it to the partitions' values. A cast of any other column does (lesson 1).
#
# **On Databricks.** With Photon there is *dynamic file pruning* too: the same idea for files by their statistics, on tables without partitions, best where they are clustered by the join's key. That is
# one more reason to partition seldom.
#
# **Read on:** [Spark: DPP in the SQL reference](https://spark.apache.org/docs/latest/sql-performance-tuning.html), [Databricks: dynamic file pruning](https://docs.databricks.com/aws/en/optimizations/dynamic-file-pruning).

# %% [markdown]
# ## Lesson 5: A cache is a copy with a price
#
# A cache holds bytes that others could use, it has to be filled, and **nobody tells it when its table changes**. Spark refreshes a cached DataFrame when the *same* Spark writes to the table. Another
# job's write it doesn't see:

# %% tags=["demo"]
lab.drop("prices")
write_deltalake(lab.tables / "prices", pd.DataFrame({"product": [1, 2], "price": [1.0, 2.0]}))
spark.sql(f"CREATE TABLE prices USING delta LOCATION '{lab.tables / 'prices'}'")
prices = spark.table("prices").groupBy("product").agg(F.max("price").alias("price"))
prices.cache()
print("before the write: ", prices.count(), "products")
write_deltalake(lab.tables / "prices", pd.DataFrame({"product": [3], "price": [3.0]}), mode="append")  # another job
print("from the cache:   ", spark.table("prices").groupBy("product").agg(F.max("price").alias("price")).count(), "products, though the query was written anew")
prices.unpersist()
print("without the cache:", prices.count(), "products")
lab.drop("prices")

# %% [markdown]
# The query was written again, and still got the old rows: a cache goes by what a plan *is*, whoever wrote it. The source text counts how often a table is read, divides by its size, caches the first ones and
# refreshes them every hour. So it caches best what is written most, and answers are up to an hour old. A better rule needs two numbers of each block of work: how many reads of files the cache
# **saves between two writes**, and how many bytes it takes. Then it is a knapsack.
#
# **On Databricks.** The *disk cache* copies files that were read to local disks, by itself, and sees every write, as files never change. It is what to rely on for plain reads. `cache()` is for computed
# results within one job; serverless compute doesn't have it. For results that many jobs need, a materialized view is refreshed and seen by all.
#
# **Read on:** [Databricks: disk cache](https://docs.databricks.com/aws/en/optimizations/disk-cache).

# %% [markdown]
# ## Exercise 5a: Advanced queries
#
# Three reports are slow, one join is skewed, a big table is read in full, and the cluster's memory is full of caches. Everything is there as DataFrames, which nothing has run yet:

# %%
reports = slow_reports(lab)  # report_a, report_b, report_c
scans, offers = scans_of(lab), offers_of(lab)  # the two sides of the skewed join
skewed = skewed_join(lab)
sales, calendar, event = events_of(lab)
queries = pruning_queries(lab)  # q1 to q6, over sales and calendar
print("reports:", ", ".join(reports), "| queries:", ", ".join(queries), "| the event:", event)

# %% [markdown]
# ### Step 5a.1: Analyse in the Spark UI
#
# Each report has another one of the four illnesses of lesson 1. They run on a cluster as an old runbook left it: `OLD_CLUSTER` turns AQE off, has a broadcast threshold of 64 KB (160 times below the default), and lets a window hold
# 32,768 rows before it spills, where memory would hold millions. Measure each report under `spark_conf(spark, OLD_CLUSTER)`, and look at `operators(run)`, at the plan, or into the SQL tab.
#
# **Produce** `diagnosis`, a dict from the report's name to a dict with `illness` (`spill`, `estimate`, `exchange` or `cast`), `operator` (where it shows) and `figure` (what proves it):
#
# | illness | operator | figure |
# |---|---|---|
# | spill | the one that spilled | bytes that the run's stages wrote to disk, `spilled(run)` |
# | estimate | the join | rows that really come out of the side that was thought large |
# | exchange | the one that is there twice | rows that it shuffles |
# | cast | the scan | rows that were read, and that the filter above threw away |
#
# **Checked:** illness, operator and figure, against a run of each report that the check makes for itself.

# %% tags=["answer:5a.1"]
# Measure the three reports under OLD_CLUSTER, then fill diagnosis.
### BEGIN SOLUTION
with spark_conf(spark, OLD_CLUSTER):
    runs = {name: measure(report, name) for name, report in reports.items()}


def diagnose(run):
    seen = operators(run).to_dict("records")
    filtered = [row["rows out"] for row in seen if row["operator"] == "Filter"]
    spilling = [row["operator"] for row in seen if row["spilled"]]
    shuffled = [row["rows shuffled"] for row in seen if row["operator"] == "Exchange"]
    scanned = [row["rows out"] for row in seen if row["operator"].startswith("Scan")]
    if spilling:
        return {"illness": "spill", "operator": spilling[0], "figure": spilled(run)}
    if len(shuffled) != len(set(shuffled)) and max(shuffled) == sorted(shuffled)[-2]:
        return {"illness": "exchange", "operator": "Exchange", "figure": max(shuffled)}
    if run.count("SortMergeJoin"):
        return {"illness": "estimate", "operator": "SortMergeJoin", "figure": min(filtered)}
    return {"illness": "cast", "operator": "Scan parquet", "figure": max(scanned) - min(filtered)}


diagnosis = {name: diagnose(run) for name, run in runs.items()}
### END SOLUTION

# %% tags=["check:5a.1"]
check("5a.1")

# %% [markdown]
# ### Step 5a.2: Skewed joins
#
# `skewed` joins `scans` and `offers` by `product_id`, and counts lines and sales by `display_location`. On this cluster, `CLUSTER`, its largest task has more than a third of the bytes. Mend it twice:
#
# **Produce**
# * `aqe_settings`, a dict of Spark settings under which `skewed` itself, unchanged, has no large task: of `spark.sql.adaptive.*`, and `spark.sql.files.maxPartitionBytes` if you need more tasks that read;
# * `salted`, a DataFrame with the rows of `skewed` (`display_location`, `lines`, `sales`), whose join is salted on both sides. It runs under `CLUSTER` as it is. Salt without `rand()`.
#
# `largest_share(measure(frame))` is the figure that counts: the largest task's part of the bytes that its stage read. A pass is 15 % or less; sixteen equal tasks would have 6 %.
#
# **Checked:** both shares, in runs of the check's own; `skew=true` in the plan with your settings; the rows; that the salted join still shuffles, and at most 1.5 times the bytes of `skewed`.

# %% tags=["answer:5a.2"]
# Put a dict of settings into aqe_settings, and the salted query into salted.
### BEGIN SOLUTION
aqe_settings = {
    "spark.sql.adaptive.skewJoin.skewedPartitionThresholdInBytes": "64KB",
    "spark.sql.adaptive.skewJoin.skewedPartitionFactor": "2",
    "spark.sql.adaptive.advisoryPartitionSizeInBytes": "64KB",
    "spark.sql.files.maxPartitionBytes": "1MB",
}
SALTS = 64
hot_key = scans.groupBy("product_id").count().orderBy(F.desc("count")).first().product_id
is_hot = F.col("product_id") == hot_key
every = F.sequence(F.lit(0), F.lit(SALTS - 1))
salt = F.pmod(F.xxhash64("basket_id"), F.lit(SALTS)).cast("int")
salted = (
    scans.withColumn("salt", F.when(is_hot, salt).otherwise(0))
    .join(offers.withColumn("salt", F.explode(F.when(is_hot, every).otherwise(F.array(F.lit(0))))), ["product_id", "salt"])
    .groupBy("display_location")
    .agg(F.count("*").alias("lines"), F.sum("sales_value").alias("sales"))
)
### END SOLUTION

# %% tags=["check:5a.2"]
check("5a.2")

# %% [markdown]
# ### Step 5a.3: Dynamic partition pruning
#
# `sales` is in 53 partitions by `week`, a file each; `calendar` has a row a day with `day`, `week` and `event`. Six queries, `queries["q1"]` to `queries["q6"]`, read more or less of the sales.
#
# **Produce**
# * `pruning`, a dict from each query's name to a word: `dynamic` (the join prunes while it runs), `static` (it prunes, by what stood in the query before it ran), `key` (it doesn't, as its join has another key), `outer`
#   (it doesn't, as its join keeps all rows);
# * `pruned`, a DataFrame: the query of kind `key`, mended. Same columns (`store_id`, `sales`), same rows, and it finds its weeks by itself.
#
# **Checked:** the six words, against what each query does; `dynamicpruning` in the plan of `pruned` that ran, the files that it reads, and its rows.

# %% tags=["answer:5a.3"]
# Put the six words into pruning, and the mended query into pruned.
### BEGIN SOLUTION
pruning = {}
for name, query in queries.items():
    run = measure(query, name)
    rows = operators(run).to_dict("records")
    files = max(row["files read"] for row in rows if row["of"] == "sales_by_week")
    if "IN dynamicpruning#" in run.plan:
        pruning[name] = "dynamic"
    elif files < 53:
        pruning[name] = "static"
    else:
        pruning[name] = "outer" if "LeftOuter" in run.plan else "key"
days = calendar.where(F.col("event") == event)
pruned = (
    sales.join(days, (sales.week == days.week) & (sales.transaction_date == days.day))
    .groupBy("store_id")
    .agg(F.sum("sales_value").alias("sales"))
)
### END SOLUTION

# %% tags=["check:5a.3"]
check("5a.3")

# %% [markdown]
# ### Step 5a.4: Strategic caching
#
# A shop's dashboards begin with seven *blocks* of work, over four tables that are written at different rates. There is memory for 45 % of what they take together. Here is last week:

# %% tags=["demo"]
shop = cache_week(lab.seed)
asked = Counter(each["query"] for each in shop.history if "query" in each)
written = Counter(each["write"] for each in shop.history if "write" in each)
for name, block in shop.blocks.items():
    print(f"{name:<20} {block['bytes'] // 2**20:>4} MB {block['files']:>4} files, asked {asked[name]:>3} times; stands on", ", ".join(f"{table} ({written[table]} writes)" for table in block["tables"]))
print(f"the budget: {shop.budget // 2**20} MB")

# %% [markdown]
# **Produce**
# * `CachePolicy`, a class. `CachePolicy(budget, blocks, history)` gets the budget in bytes, the blocks (name → `{"bytes": ..., "files": ..., "tables": [...]}`) and last week's events, each `{"hour": ..., "query": block}` or
#   `{"hour": ..., "write": table}`. `look(event, cached)` is called before each query and after each write of the new week, with the names of what is cached, and returns `{"drop": [...], "cache": [...]}`, either of
#   which may be missing. Caching a block reads its files once; caching one that is cached refreshes it.
# * `till_week`, what `play_week(lab, CachePolicy)` returns: the policy on Spark's own cache, on two real tables that another writer changes meanwhile, with the figures of the Storage and the SQL tab.
#
# `replay_week(CachePolicy, shop)` plays a week of events in a second. The class is taken as the source of its cell and run by itself, without this notebook: imports
# that it needs belong into the cell, and everything that only this notebook can run below `if __name__ == "__main__":`.
#
# **Checked,** on three fresh weeks of other shops: no stale answer; never more bytes than the budget; in each week at least 80 % of the files saved that the best fixed choice of blocks saves when it knows the week beforehand. And the
# figures of the week on Spark.

# %% tags=["answer:5a.4"]
# Define the class CachePolicy, then put what play_week(lab, CachePolicy) returns into till_week.
### BEGIN SOLUTION
from itertools import combinations


class CachePolicy:
    def __init__(self, budget, blocks, history):
        self.blocks = blocks
        worth = {name: self.saved(name, history) for name in blocks}
        choices = [each for size in range(len(blocks) + 1) for each in combinations(blocks, size)]
        fitting = [each for each in choices if sum(blocks[name]["bytes"] for name in each) <= budget]
        self.chosen = max(fitting, key=lambda each: sum(worth[name] for name in each))

    def saved(self, name, history):
        """Files that last week's cache of a block would have saved."""
        fresh, saved = False, 0
        for event in history:
            if event.get("write") in self.blocks[name]["tables"]:
                fresh = False
            elif event.get("query") == name:
                saved += self.blocks[name]["files"] * fresh
                fresh = True
        return saved

    def look(self, event, cached):
        if "write" in event:
            return {"drop": [name for name in cached if event["write"] in self.blocks[name]["tables"]]}
        name = event["query"]
        return {"cache": [name] if name in self.chosen and name not in cached else []}


if __name__ == "__main__":  # what only this notebook runs
    till_week = play_week(lab, CachePolicy)
    print({name: till_week[name] for name in ("queries", "hits", "stale", "files_without", "files_read")})
### END SOLUTION

# %% tags=["check:5a.4"]
check("5a.4")

# %% [markdown]
# ### Step 5a.5: Measure and document
#
# What was it worth? Measure before and after, three runs or more of each: `skewed` and `salted` under `spark_conf(spark, CLUSTER)`, the query of kind `key` and `pruned` without.
#
# **Produce**
# * `skewed_runs`, `salted_runs`, `unpruned_runs`, `pruned_runs`: lists of what `measure` returned;
# * `before_after`, a pandas DataFrame or a list of dicts, with `change`, `figure`, `before`, `after` (medians over the runs) and `runs` (how many on each side). Three rows: change `salting` with the figures
#   `largest_share` and `shuffle_bytes`, change `pruning` with `files_read`, of `sales_by_week` alone;
# * `drawn`, a dict of what your plot shows: `"salting: largest_share"` and so on, each a list of two numbers, before and after, in shares of the figure before. So three figures of different kinds fit into one picture. Draw it.
#
# **Checked:** the runs, each figure of the table found again in them, and the plot's numbers. Times may stand in your table too; nobody judges them.

# %% tags=["answer:5a.5"]
# Fill skewed_runs, salted_runs, unpruned_runs, pruned_runs, before_after and drawn.
### BEGIN SOLUTION
unpruned = queries[next(name for name, kind in pruning.items() if kind == "key")]
with spark_conf(spark, CLUSTER):
    skewed_runs = [measure(skewed, "skewed") for _ in range(3)]
    salted_runs = [measure(salted, "salted") for _ in range(3)]
unpruned_runs = [measure(unpruned, "unpruned") for _ in range(3)]
pruned_runs = [measure(pruned, "pruned") for _ in range(3)]


def files_read(run):
    return sum(row["files read"] for row in operators(run).to_dict("records") if row["of"] == "sales_by_week")


before_after = [
    {"change": change, "figure": figure, "before": median(map(read, before)), "after": median(map(read, after)), "runs": len(before)}
    for change, figure, read, before, after in (
        ("salting", "largest_share", largest_share, skewed_runs, salted_runs),
        ("salting", "shuffle_bytes", lambda run: run.shuffle_bytes, skewed_runs, salted_runs),
        ("pruning", "files_read", files_read, unpruned_runs, pruned_runs),
    )
]
drawn = {f"{row['change']}: {row['figure']}": [1.0, row["after"] / row["before"]] for row in before_after}
bars({f"{name}, {when}": value for name, both in drawn.items() for when, value in zip(("before", "after"), both, strict=True)}, "Before and after", "share of the figure before", digits=2, exact=False)
### END SOLUTION

# %% tags=["check:5a.5"]
check("5a.5")

# %% [markdown]
# The share of the largest task fell to a third or less, for some more bytes shuffled: that is what salting trades. Pruning trades nothing.

# %% [markdown]
# ## Exercise 5b: Resources

# %% [markdown]
# ## Lesson 6: Who shares a platform
#
# Rights are given when somebody needs one, to whoever asks, and never taken back. A year later nobody can say who may do what. This is such a
# workspace, with three teams in it:

# %% tags=["demo"]
lay(lab, "5b.1")
w = lab.workspace
team = next(iter(people.teams))
job = next(each for each in w.jobs.list() if each.settings.name == f"{team} load")
cluster = next(each for each in w.clusters.list() if each.cluster_name == team)
folder = w.workspace.get_status(f"/Teams/{team}")
for kind, number in (("jobs", job.job_id), ("clusters", cluster.cluster_id), ("directories", folder.object_id)):
    for entry in w.permissions.get(kind, str(number)).access_control_list:
        for held in entry.all_permissions:
            origin = " (from above)" if held.inherited else ""
            print(f"{kind:<12} {entry.group_name or entry.user_name:<22} {held.permission_level.value}{origin}")

# %% [markdown]
# Four things to read off this list:
#
# * `users` is everybody. What it holds on `/Teams` comes down to each folder below: **levels are inherited along folders, and the highest one counts.**
#   An entry further down can add to it and never take away.
# * An entry with a person's name stays when that person changes teams. Nobody looks for it there.
# * One of the names has left the company. The account is still active, and so are its rights.
# * `admins` stands in no list that anybody wrote: **an admin passes every check.** Who is one?
#
# What that means is best seen through somebody else's eyes. `lab.workspace_as(...)` is the same workspace as another user has it:

# %% tags=["demo"]
stranger = lab.workspace_as(people.outside)
print(people.outside, "is in no team, and")
print("  sees the folders", sorted(each.path for each in stranger.workspace.list("/Teams")))
print("  may run the job", stranger.jobs.get(job.job_id).settings.name)
print("  finds the table", stranger.tables.get(f"{team}.sales.daily").full_name)
for entry in w.grants.get("catalog", team).privilege_assignments:
    print(f"catalog {team}: {entry.principal} holds", ", ".join(each.value for each in entry.privileges))
print("admins:", [each.display for each in next(iter(w.groups.list(filter='displayName eq "admins"'))).members])

# %% [markdown]
# **The way out has three rules.** Rights go to groups, never to people: then who joins or leaves is one change in one place. Each level is the lowest
# that does the work. And what isn't said is closed: take `users` and `account users` out of every list that isn't meant for all.
#
# | on | a member works with | who operates it has |
# |---|---|---|
# | a folder, its notebooks and files | `CAN_READ`, `CAN_RUN`, `CAN_EDIT` | `CAN_MANAGE` |
# | a job | `CAN_VIEW`, `CAN_MANAGE_RUN` (run and cancel) | `CAN_MANAGE`; one owner, `IS_OWNER` |
# | a cluster | `CAN_ATTACH_TO`, `CAN_RESTART` (start and stop it too) | `CAN_MANAGE` |
# | a pool | `CAN_ATTACH_TO` | `CAN_MANAGE` |
# | a policy | `CAN_USE` | it has no other level: admins change policies |
#
# Tables have a scheme of their own. To read one you need `USE_CATALOG` on its catalog, `USE_SCHEMA` on its schema and `SELECT` on the table, and each of
# them may be granted further up and holds for all below. `MANAGE` lets somebody grant, and lets nobody read: that is how a platform team operates a
# catalog whose data is none of its business.
#
# **Two calls, one difference.** `w.permissions.set` replaces an object's list; `w.permissions.update` adds to it. Most clean-ups that clean nothing up
# have used the second. Neither touches what comes from above.
#
# Groups are made by SCIM, the standard that identity providers speak too. Many texts, the one that this course follows among them, still post to a
# path that had its day:

# %% tags=["demo"]
try:
    w.api_client.do("POST", "/api/2.0/groups/create", body={"group_name": "pricing-group"})
except DatabricksError as error:
    print(error)
made = w.groups.create(display_name="trial", members=[ComplexValue(value=w.current_user.me().id)])
print("by SCIM:", made.display_name, [each.display for each in made.members])

# %% [markdown]
# **For the eyes.** The workspace has a page for a browser, read only, with all of this as it is now. `.venv/bin/labs status` prints its address; keep it
# open beside this notebook while you work. Its headings:

# %% tags=["demo"]
page = urlopen(Request(f"{w.config.host}/page/", headers={"Authorization": f"Bearer {w.config.token}"})).read().decode()
print(", ".join(re.findall(r"<h2[^>]*>([^<]+)</h2>", page)))

# %% [markdown]
# **On Databricks.** Users and groups belong to the *account* and are synchronised from the identity provider (Entra ID, Okta) by SCIM; workspaces get them
# assigned. Who leaves is deactivated there and gone everywhere within minutes. Jobs that ran as that person fail from then on, which is why production
# jobs run as service principals. Catalogs can be bound to workspaces. Permissions and grants are as here.
#
# **Read on:** [access control lists](https://docs.databricks.com/aws/en/security/auth/access-control/), [Unity Catalog
# privileges](https://docs.databricks.com/aws/en/data-governance/unity-catalog/manage-privileges/privileges).

# %% [markdown]
# ### Step 5b.1: Teams apart
#
# Clean up. The requirements, as you get them:
#
# 1. Each team has a group of its name, with the people of `people.teams`. The group `platform` has those of `people.platform`.
# 2. A team's **members** may edit what is in `/Teams/<team>`; run the job `<team> load` and cancel its runs; start and stop the cluster `<team>`; create
#    clusters under the policy `<team>` with machines of the pool `<team>`; read and write the tables of the catalog `<team>` and create tables there.
#    They may not change job, cluster or pool.
# 3. **Everybody else** can do nothing with a team's things, nor see them.
# 4. **Platform** may manage folders, jobs, clusters and pools of all teams, create clusters under their policies, and manage (`MANAGE`) their catalogs.
#    They may not read a table, and they aren't admins.
# 5. `people.both` is a full member of both teams. `people.left` keeps an account, deactivated.
# 6. Who joins a team's group tomorrow can work at once, and who is taken out of it can do nothing any more.
# 7. The only admin is `learner@example.com`: you.
#
# **Produce** `teams_state = exported(lab)`, after you have set it up. Begin with `lay(lab, "5b.1")`, so that the cell can run again; don't rename or
# delete what is there.
#
# **Checked:** your workspace is loaded into another one, and all people of all teams, of none and of the platform try everything; then somebody joins a
# group, and somebody leaves one.

# %% tags=["answer:5b.1"]
# Lay the workspace, make groups, set permissions and grants, then export it.
### BEGIN SOLUTION
lay(lab, "5b.1")
w = lab.workspace
users = {user.user_name: user for user in w.users.list()}


def acl(**levels):
    return [AccessControlRequest(group_name=group, permission_level=PermissionLevel(level)) for group, level in levels.items()]


def add_group(name, members):
    w.groups.create(display_name=name, members=[ComplexValue(value=users[person].id) for person in members])


add_group("platform", people.platform)
for team, members in people.teams.items():
    add_group(team, members)
left = users[people.left]
w.users.update(left.id, user_name=left.user_name, active=False)
admins = next(iter(w.groups.list(filter='displayName eq "admins"')))
w.groups.update(admins.id, display_name="admins", members=[ComplexValue(value=users["learner@example.com"].id)])

w.permissions.set("directories", str(w.workspace.get_status("/Teams").object_id), access_control_list=acl(platform="CAN_MANAGE"))
jobs = {job.settings.name: job.job_id for job in w.jobs.list()}
clusters = {cluster.cluster_name: cluster.cluster_id for cluster in w.clusters.list()}
pools = {pool.instance_pool_name: pool.instance_pool_id for pool in w.instance_pools.list()}
policies = {policy.name: policy.policy_id for policy in w.cluster_policies.list()}
for team in people.teams:
    folder = str(w.workspace.get_status(f"/Teams/{team}").object_id)
    w.permissions.set("directories", folder, access_control_list=acl(**{team: "CAN_EDIT"}))
    w.permissions.set("jobs", str(jobs[f"{team} load"]), access_control_list=acl(**{team: "CAN_MANAGE_RUN"}, platform="CAN_MANAGE"))
    w.permissions.set("clusters", clusters[team], access_control_list=acl(**{team: "CAN_RESTART"}, platform="CAN_MANAGE"))
    w.permissions.set("instance-pools", pools[team], access_control_list=acl(**{team: "CAN_ATTACH_TO"}, platform="CAN_MANAGE"))
    w.permissions.set("cluster-policies", policies[team], access_control_list=acl(**{team: "CAN_USE"}, platform="CAN_USE"))
    changes = [
        PermissionsChange(principal=each.principal, remove=each.privileges)
        for each in w.grants.get("catalog", team).privilege_assignments
    ]
    reading = ["USE_CATALOG", "USE_SCHEMA", "SELECT", "MODIFY", "CREATE_TABLE"]
    changes.append(PermissionsChange(principal=team, add=[Privilege(each) for each in reading]))
    changes.append(PermissionsChange(principal="platform", add=[Privilege.MANAGE]))
    w.grants.update("catalog", team, changes=changes)

teams_state = exported(lab)
### END SOLUTION

# %% tags=["check:5b.1"]
check("5b.1")

# %% [markdown]
# ## Lesson 7: Instance pools
#
# A cluster needs minutes before it does anything: the cloud has to find machines, they boot, they fetch the runtime. A pool keeps machines that have
# done all that. Whoever starts a cluster finds some, or waits as before.
#
# What the pool asks of you is numbers: how many machines idle at least (`min_idle_instances`), how long one idles after use before it is let go
# (`idle_instance_autotermination_minutes`), how many there may be at all (`max_capacity`), and which runtime they keep
# (`preloaded_spark_versions`). Idle machines cost what the cloud takes for them, around the clock, and no DBU. Waiting costs people's time. There is no
# right number without knowing when machines are asked for.
#
# Here a retailer asks. Its start requests follow the hours of its real sales lines (in UTC), with nightly jobs beside them. Machines asked for:

# %% tags=["demo"]
history = starts(lab.seed, "history")
print(f"{len(history):,} starts in the week, {(history.machines * history.minutes).sum() / 60:,.0f} machine-hours used")
hours = (history["at"] - history["at"].min() // 86_400_000 * 86_400_000) // 3_600_000
table = history.groupby([hours // 24, hours % 24 // 4]).machines.sum().unstack(fill_value=0)
table.index = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
table.columns = ["0-4 h", "4-8 h", "8-12 h", "12-16 h", "16-20 h", "20-24 h"]
print(table.to_string())

# %% [markdown]
# `replay` plays a week on a pool, by the arithmetic of the workspace's own pools: 240 s for the cloud, 30 s to boot, 60 s for a runtime that isn't
# preloaded. Three pools that people really set up:

# %% tags=["demo"]
for name, sizes in {
    "nothing idle": {"min_idle_instances": 0, "idle_instance_autotermination_minutes": 0, "preloaded_spark_versions": [RUNTIME]},
    "40 idle, to be safe": {"min_idle_instances": 40, "idle_instance_autotermination_minutes": 60, "preloaded_spark_versions": [RUNTIME]},
    "the same, no runtime": {"min_idle_instances": 40, "idle_instance_autotermination_minutes": 60},
}.items():
    found = replay(sizes, history)
    print(f"{name:<21} ready within a minute {found.ready(60):>4.0%}, longest wait {found.waits.max():>3.0f} s, idle by used {found.idle_share:.2f}")

# %% [markdown]
# The third one is the saddest: it pays for everything and delivers nothing, since each start still fetches its image.
#
# The two kinds of idling are not the same. `min_idle_instances` is paid on Sunday morning too. The minutes after use adapt by themselves: many starts
# leave many machines behind, just when more starts are likely. So the same money buys less waiting in one mixture than in another:

# %% tags=["demo"]
tried = grid(history, [4, 8, 12], [0, 10, 20, 40, 60], preloaded_spark_versions=[RUNTIME])
picture, (axis,) = figure(width=4.4, height=1.9)
for (least, rows), colour in zip(tried.groupby("min_idle"), (GREY, BLUE, ORANGE), strict=True):
    axis.plot(rows.idle_share, rows.ready, "o-", color=colour, markersize=3, linewidth=1, label=f"{least} idle at least")
axis.axhline(BOUNDS.ready_share, color=GREY, linestyle=":")
axis.axvline(BOUNDS.idle_share, color=GREY, linestyle=":")
axis.set_xlim(0, 1)
axis.set_ylim(0.4, 1.02)
axis.legend(frameon=False, fontsize=8)
axis.set_xlabel("machine-hours idle by machine-hour used")
axis.set_title("Starts ready within a minute, for 0 to 60 minutes after use", loc="left", fontsize=9)
show(picture)

# %% [markdown]
# And a pool has an end. `max_capacity` counts machines in use and idle ones; without it the account's limit at the cloud is the end, for everybody else
# too. A start that a full pool can't serve is **refused and not queued**:

# %% tags=["demo"]
lay(lab, "5b.2")
w = lab.workspace
pool = w.instance_pools.create(instance_pool_name="small", node_type_id="m5.large", min_idle_instances=1, max_capacity=4)
for workers in (2, 1):
    try:
        w.clusters.create(spark_version=RUNTIME, instance_pool_id=pool.instance_pool_id, num_workers=workers)
        print(f"{workers} workers and a driver: begun")
    except DatabricksError as error:
        print(f"{workers} worker and a driver: {error}")

# %% [markdown]
# **On Databricks.** Pools are as here, in the classic compute of your own cloud account: while a machine idles, the cloud bills it and Databricks doesn't.
# Spot and on-demand machines need pools of their own, drivers often too. *Serverless* compute is a pool of Databricks' own with starts in seconds, whose
# price includes the idling; many teams need no pool since. The local workspace's machines come within two seconds; `replay` reckons with the cloud's times.
#
# **Read on:** [pools](https://docs.databricks.com/aws/en/compute/pools).

# %% [markdown]
# ### Step 5b.2: Instance pools
#
# The week `starts(lab.seed, "history")` is what you know. Size a pool for the next one:
#
# 1. at least 90 % of all starts run within 60 seconds (`BOUNDS`);
# 2. at most 0.5 machine-hours idle for each machine-hour used;
# 3. no more than 140 machines, which is what the cloud gives this account; within that, nobody is refused (two starts in a thousand at most).
#
# **Produce** in the workspace, after `lay(lab, "5b.2")`, a pool named `starts` of `m5.xlarge` machines with your sizes, for clusters with the runtime
# `RUNTIME`; then `pool_state = exported(lab)`.
#
# **Checked:** the pool gets a week that nobody has seen, of the same retailer: waits, idle machines, refusals. Then it is asked for more than it may have.

# %% tags=["answer:5b.2"]
# Try sizes on the history, create the pool, then export the workspace.
### BEGIN SOLUTION
lay(lab, "5b.2")
history = starts(lab.seed, "history")
sizes = {"min_idle_instances": 12, "max_capacity": 135, "idle_instance_autotermination_minutes": 8, "preloaded_spark_versions": [RUNTIME]}
tried = replay(sizes, history)
print(f"ready within a minute: {tried.ready(60):.1%}, idle by used: {tried.idle_share:.2f}, refused: {tried.refused}, at most {tried.most_used} machines")
w = lab.workspace
w.instance_pools.create(instance_pool_name="starts", node_type_id="m5.xlarge", **sizes)
pool_state = exported(lab)
### END SOLUTION

# %% tags=["check:5b.2"]
check("5b.2")

# %% [markdown]
# ## Lesson 8: Cluster policies
#
# Who may create clusters without a policy may create any cluster. A policy is a JSON object of attributes and what may stand in them:
#
# | type | the attribute | where nothing is said |
# |---|---|---|
# | `fixed` | has this value | is filled in |
# | `allowlist`, `blocklist`, `regex`, `range` | is one of these, none of these, like this, from here to there | is refused, unless there is a `defaultValue` and the request asks for defaults, or it `isOptional` |
# | `unlimited` | is anything | as above: it has to be said |
# | `forbidden` | must not be said | is fine |
# | none at all | **is anything** | is fine |
#
# The last row is the one to remember: **an attribute that no rule names is an open door.** Here is the policy of a popular text, nearly word by word:
# sizes from ranges, a tag, a runtime by pattern. Its author meant small clusters of one runtime. Let us ask for some as a member of the team:

# %% tags=["demo"]
lay(lab, "5b.3")
w = lab.workspace
team, members = next(iter(people.teams.items()))
popular = {
    "autoscale.min_workers": {"type": "range", "minValue": 1, "maxValue": 10, "isOptional": True},
    "autoscale.max_workers": {"type": "range", "minValue": 2, "maxValue": 20, "isOptional": True},
    "spark_version": {"type": "regex", "pattern": "1[67].[0-9].*"},
    "custom_tags.team": {"type": "fixed", "value": team},
}
policy = w.cluster_policies.create(name="popular", definition=json.dumps(popular))
use = AccessControlRequest(group_name=team, permission_level=PermissionLevel.CAN_USE)
w.permissions.set("cluster-policies", policy.policy_id, access_control_list=[use])
member = lab.workspace_as(members[0])


def ask(policy_id, what, **spec):
    """Ask for a cluster as the member, tell what came of it, and give it back."""
    told = {"policy_id": policy_id, "spark_version": RUNTIME, "node_type_id": "m5.xlarge", **spec}
    try:
        made = member.api_client.do("POST", "/api/2.1/clusters/create", body=told)
        w.clusters.permanent_delete(made["cluster_id"])
        print(f"allowed  {what}")
    except DatabricksError as error:
        print(f"refused  {what}: {error}")


scale = {"min_workers": 1, "max_workers": 4}
ask(policy.policy_id, "4 workers that scale", autoscale=scale)
ask(policy.policy_id, "40 workers that scale", autoscale={"min_workers": 1, "max_workers": 40})
ask(policy.policy_id, "400 workers, by the other way to say a size", num_workers=400)
ask(policy.policy_id, "a driver as large as there is", autoscale=scale, driver_node_type_id="i3.4xlarge")
ask(policy.policy_id, "Photon, at twice the rate", autoscale=scale, runtime_engine="PHOTON")
ask(policy.policy_id, "a script at each start", autoscale=scale, init_scripts=[{"workspace": {"destination": "/Shared/mine.sh"}}])

# %% [markdown]
# One of six was refused. The text's own version has no `isOptional`, which shuts the third door and forbids every fixed size with it; drivers, engines,
# scripts, modes and times to stop it leaves open like this one. Three ways to the same size or machine are easily overlooked:
#
# * **`num_workers` beside `autoscale`.** A size can be said in two ways. Limit both, or forbid one.
# * **The driver.** It has a node type of its own, and a pool of its own: `driver_node_type_id`, `driver_instance_pool_id`.
# * **Pools beside node types.** A cluster of a pool has the pool's machines. Forbid pools where you limit types, or fix the pool.
#
# So write a policy the other way round: list *all* attributes, forbid them, and open what the requirements name.
#
# **What costs.** `dbus_per_hour` stands in no request: it is worked out from driver, workers (the most that there may be) and engine. A `range` on it
# bounds a cluster's cost an hour whatever combination somebody finds. No attribute bounds a day: the one in the same text does not exist.

# %% tags=["demo"]
for name, rule in {
    "cluster_dbu_quota": {"type": "fixed", "value": "100"},
    "dbus_per_hour": {"type": "range", "maxValue": 100},
}.items():
    try:
        w.cluster_policies.create(name=name, definition=json.dumps({name: rule}))
        print(f"{name}: accepted")
    except DatabricksError as error:
        print(f"{name}: {error}")

# %% [markdown]
# **On Databricks.** Types and paths are as here; there are more attributes (Docker images, log delivery, cloud specifics), so the list of what to forbid is
# longer. A policy that changed says nothing about clusters that exist: *policy compliance* lists those that break it. Some malformed definitions are
# accepted there and found when a cluster is created; this workspace refuses them at once. Users without the entitlement *unrestricted cluster creation*
# can have clusters by a policy alone.
#
# **Read on:** [compute policy reference](https://docs.databricks.com/aws/en/admin/clusters/policy-definition).

# %% [markdown]
# ### Step 5b.3: Cluster policies
#
# Three teams, three kinds of work. These are their requirements; `allowances(lab.seed)` has them as objects, with `team`, `kind` and the numbers:

# %% tags=["demo"]
for each in allowances(lab.seed):
    display(Markdown(f"**{each.team}** ({each.kind})\n{each.words}"))

# %% [markdown]
# *What isn't named* means these attributes of a cluster: `autoscale`, `autotermination_minutes`, `aws_attributes`, `driver_instance_pool_id`,
# `driver_node_type_id`, `enable_elastic_disk`, `init_scripts`, `instance_pool_id`, `is_single_node`, `node_type_id`, `num_workers`, `runtime_engine`,
# `single_user_name`, `spark_conf`, `spark_env_vars`. *Where nobody says* means: the request asks for defaults, and gives none of its own.
#
# **Produce** in the workspace, after `lay(lab, "5b.3")` (which makes groups, a pool for each team and one of big drivers), a policy for each team, of the
# team's name, which that team alone may use; then `policies_state = exported(lab)`.
#
# **Checked:** sixty specifications, twenty of each team, as members of the teams: each allowed or refused as the words say. What is filled in. Whether
# anybody else can use a policy, or do without.

# %% tags=["answer:5b.3"]
# Write a definition for each team from its requirements, create the policies, say who may use them, then export the workspace.
### BEGIN SOLUTION
lay(lab, "5b.3")
w = lab.workspace
pools = {pool.instance_pool_name: pool.instance_pool_id for pool in w.instance_pools.list()}


def fixed(value):
    return {"type": "fixed", "value": value}


def one_of(*values, **more):
    return {"type": "allowlist", "values": [*values], **more}


def between(low, high, **more):
    return {"type": "range", "minValue": low, "maxValue": high, **more}


FORBIDDEN = {"type": "forbidden"}
EVERYTHING = [
    *("autoscale", "aws_attributes", "driver_instance_pool_id", "driver_node_type_id", "enable_elastic_disk", "init_scripts"),
    *("instance_pool_id", "is_single_node", "node_type_id", "num_workers", "runtime_engine", "single_user_name"),
    *("autotermination_minutes", "spark_conf", "spark_env_vars"),
]


def closed(rules, free=()):
    """The rules, with the door shut on every attribute that they leave out."""
    named = {path.split(".")[0] for path in rules} | set(free)
    return {**rules, **{path: FORBIDDEN for path in EVERYTHING if path not in named}}


for each in allowances(lab.seed):
    rules = {"custom_tags.team": fixed(each.team), "custom_tags.cost_center": fixed(each.cost_center)}
    idle = between(10, each.idle_minutes, defaultValue=each.usual_minutes)
    if each.kind == "analysts":
        rules |= {
            "cluster_type": fixed("all-purpose"),
            "autoscale.min_workers": between(1, each.most_workers),
            "autoscale.max_workers": between(1, each.most_workers),
            "node_type_id": one_of(*each.nodes, defaultValue=each.nodes[0]),
            "driver_node_type_id": one_of(*each.nodes, isOptional=True),
            "autotermination_minutes": idle,
            "spark_version": one_of("17.3.x-scala2.13", "16.4.x-scala2.12"),
            "data_security_mode": fixed("USER_ISOLATION"),
            "runtime_engine": fixed("STANDARD"),
        }
        definition = closed(rules)
    elif each.kind == "engineers":
        rules |= {
            "cluster_type": fixed("job"),
            "num_workers": between(1, each.most_workers),
            "instance_pool_id": fixed(pools[each.team]),
            "driver_instance_pool_id": fixed(pools[each.team]),
            "dbus_per_hour": {"type": "range", "maxValue": each.most_dbus},
            "spark_version": fixed("17.3.x-scala2.13"),
            "data_security_mode": fixed("SINGLE_USER"),
        }
        definition = closed(rules, free=["runtime_engine", "spark_conf", "node_type_id", "driver_node_type_id"])
    else:
        rules |= {
            "cluster_type": fixed("all-purpose"),
            "is_single_node": fixed(True),
            "num_workers": fixed(0),
            "node_type_id": one_of(*each.nodes, defaultValue=each.nodes[0]),
            "driver_node_type_id": one_of(*each.nodes, isOptional=True),
            "autotermination_minutes": idle,
            "spark_version": one_of("17.3.x-cpu-ml-scala2.13", "16.4.x-cpu-ml-scala2.12"),
            "data_security_mode": fixed("SINGLE_USER"),
            "runtime_engine": fixed("STANDARD"),
        }
        definition = closed(rules, free=["single_user_name", "spark_env_vars"])
    made = w.cluster_policies.create(name=each.team, definition=json.dumps(definition))
    use = AccessControlRequest(group_name=each.team, permission_level=PermissionLevel.CAN_USE)
    w.permissions.set("cluster-policies", made.policy_id, access_control_list=[use])

policies_state = exported(lab)
### END SOLUTION

# %% tags=["check:5b.3"]
check("5b.3")


# %% [markdown]
# ## Lesson 9: Queues, limits and a daily quota
#
# Policies bound what one cluster is. How many there are, and for how long, is bounded elsewhere, and each limit stops something else:
#
# | limit | where | what is too much |
# |---|---|---|
# | `max_concurrent_runs` | a job | waits if the job has a `queue`, else is **skipped**, which is no failure and sends no mail |
# | `max_clusters_per_user` | a policy, beside its definition | is refused |
# | `dbus_per_hour` | a policy's definition | is refused |
# | `max_capacity` | a pool | is refused |
# | a budget | the account | is **told**, hours later, and runs on |
#
# The text that this course follows sets a job limit for a group by `jobs/config`, and a daily quota by a policy. Neither exists. And a **budget stops
# nothing**: it compares the bill with a figure and writes a mail. Whoever wants spending to stop has to write what stops it.
#
# First a day without any of this. Each team has a job `<team> batch`, which can wait, and a job `<team> urgent`, which can't. `submissions` is a day of two
# hundred runs; `rehearse` plays it on a workspace of its own, with the service's queues, clusters, books and clock, and asks a control every ten minutes.
# This one does nothing:

# %% tags=["demo"]
class Onlooker:
    def look(self, now, billed, runs):
        return []


lay(lab, "5b.4")
w = lab.workspace
day = submissions(lab.seed, "rehearsal")
as_found = rehearse(exported(lab), day, Onlooker())
print("as found:  ", dict(sorted(Counter(run.result for run in as_found.runs).items())))
for job in w.jobs.list():
    w.jobs.update(job.job_id, new_settings=JobSettings(max_concurrent_runs=3, queue=QueueSettings(enabled=True)))
queued = rehearse(exported(lab), day, Onlooker())
print("with queue:", dict(sorted(Counter(run.result for run in queued.runs).items())))
longest = max((run.began - run.asked) / 60_000 for run in queued.runs)
print(f"the longest wait is {longest:.0f} minutes")

# %% [markdown]
# Without a queue, half of the day's work was skipped, without an error anywhere. With one, all of it runs, and nobody stops it:

# %% tags=["demo"]
clock = (8, 12, 16, 20, 24)
spending = {
    each.team: [round(queued.spent(each.team, BEGIN + hour * 3_600_000)) for hour in clock] + [f"{each.quota:g}"] for each in limits(lab.seed)
}
print("DBU since midnight")
print(pd.DataFrame(spending, [*(f"{hour} h" for hour in clock), "quota"]).T.to_string())

# %% [markdown]
# **A control** is a small program that looks at what is spent and acts. Three questions decide whether it is any good.
#
# *What does it know?* The bill is late: `system.billing.usage` gets its rows hours after the use, here after each full hour. What runs right now is in the
# list of runs, and nowhere else. A control that waits for the bill stops an hour of all machines too late.
#
# *What does it stop?* What can wait, and never what can't. To pause a schedule keeps new runs from coming; to cancel ends those that are there, the ones
# in the queue too: these would begin as soon as others end.
#
# *Whom does it tell, and how often?* A cancelled run that nobody heard of is a lost run. A message every ten minutes is one that nobody reads.
#
# **On Databricks.** Queueing is on by default for jobs made in the UI and not for those made by the API; a queued run waits 48 hours at most. Budgets watch
# the cost of a tag or a workspace, and *budget policies* tag serverless use. A control like yours is a job of its own, every few minutes: it reads
# `system.billing.usage`, the Jobs API and a table of quotas, and acts by a schedule's `pause_status` and by `jobs.cancel_run`.
#
# **Read on:** [queueing and concurrency](https://docs.databricks.com/aws/en/jobs/advanced),
# [budgets](https://docs.databricks.com/aws/en/admin/account-settings/budgets).

# %% [markdown]
# ### Step 5b.4: Concurrency limits and DBU quotas
#
# These are the teams' limits; `limits(lab.seed)` has them as objects:

# %% tags=["demo"]
print(pd.DataFrame([vars(each) for each in limits(lab.seed)]).to_string(index=False))


# %% [markdown]
# **In the workspace** (after `lay(lab, "5b.4")`, which makes jobs and policies without limits):
# * the job `<team> batch` has at most `batch_runs` runs at once, `<team> urgent` at most `urgent_runs`; what is more waits and isn't lost. Leave the jobs' tasks and
#   clusters as they are;
# * under the policy `<team> people` each person has at most `clusters_each` clusters at a time, each of at most `people_dbus` DBU an hour;
# * under the policy `<team> jobs` a cluster has at most `jobs_dbus` DBU an hour. (All the jobs' clusters belong to one user, you: no limit by user there.)
#
# **As a class** `DailyQuota(quotas)`, with `quotas` like `{"pricing": 60.0}` in DBU a day, a control with one method:
#
# `look(now, billed, runs)` is called every ten minutes, with the time in ms since 1970 UTC; with `billed`, DBU by team from midnight (UTC) to the last
# full hour; and with `runs`, all of today and those that still go on, as dicts: `run_id`, `job`, `team`, `urgent` (true or false), `state` (`QUEUED`, `PENDING`,
# `RUNNING`, `ENDED`), `began` and `ended` (ms, or None), `dbus_per_hour`. It returns a list of actions:
#
# | action | |
# |---|---|
# | `{"do": "tell", "team": ..., "text": ...}` | a message to the team |
# | `{"do": "pause", "job": ...}`, `{"do": "resume", "job": ...}` | the job's schedule makes no runs, or does again; people still can |
# | `{"do": "cancel", "run_id": ...}` | ends a run, also one that waits |
#
# What it has to do: tell a team when 80 % of its day's quota is used, and when all of it is, once each. From the quota on, have nothing run that isn't urgent:
# within a quarter of an hour, until midnight, also what is submitted later. Name each cancelled run, by its id, in a message to its team. Leave urgent
# runs alone, always. Do nothing to a team that is below its quota. At midnight begin anew, and resume what you paused.
#
# **Produce** `DailyQuota` and `quota_state = exported(lab)`. The class is taken as the source of its cell and run by itself, without this notebook: imports
# that it needs belong into the cell, and everything that only this notebook can run below `if __name__ == "__main__":`.
#
# **Checked:** each limit by use. Then a fresh day of two hundred submissions and the morning after, on a workspace with your state, led by your control: nothing
# lost, urgent work not starved, spending stopped in time and not before, told, and the next day begun anew.

# %% tags=["answer:5b.4"]
# Write the class DailyQuota; below it, for this notebook, set the limits and export the workspace.
### BEGIN SOLUTION
class DailyQuota:
    def __init__(self, quotas):
        self.quotas = quotas
        self.today, self.said, self.paused = None, set(), set()

    def look(self, now, billed, runs):
        hour, day = 3_600_000, 86_400_000
        midnight = now - now % day
        actions = []
        if midnight != self.today:
            actions = [{"do": "resume", "job": job} for job in sorted(self.paused)]
            self.today, self.said, self.paused = midnight, set(), set()
        for team, quota in self.quotas.items():
            mine = [run for run in runs if run["team"] == team]
            spent = sum(
                (max((run["ended"] or now) - max(run["began"], midnight), 0)) / hour * run["dbus_per_hour"] for run in mine if run["began"]
            )
            if spent >= 0.8 * quota:
                actions += self.say(team, "warned", f"{team} has spent {spent:.1f} of {quota:g} DBU today.")
            if spent >= quota:
                actions += self.say(team, "stopped", f"{team} has spent its quota of {quota:g} DBU: only urgent work runs until midnight.")
                stop = [run for run in mine if not run["urgent"] and run["state"] != "ENDED"]
                jobs = {run["job"] for run in mine if not run["urgent"]} - self.paused
                self.paused |= jobs
                actions += [{"do": "pause", "job": job} for job in sorted(jobs)]
                actions += [{"do": "cancel", "run_id": run["run_id"]} for run in stop]
                if stop:
                    names = ", ".join(str(run["run_id"]) for run in stop)
                    actions.append({"do": "tell", "team": team, "text": f"Cancelled for the quota, to be run again tomorrow: {names}."})
        return actions

    def say(self, team, what, text):
        if (team, what) in self.said:
            return []
        self.said.add((team, what))
        return [{"do": "tell", "team": team, "text": text}]


if __name__ == "__main__":  # what only this notebook runs
    lay(lab, "5b.4")
    w = lab.workspace
    jobs = {job.settings.name: job.job_id for job in w.jobs.list()}
    policies = {policy.name: policy.policy_id for policy in w.cluster_policies.list()}
    for each in limits(lab.seed):
        for kind, most in (("batch", each.batch_runs), ("urgent", each.urgent_runs)):
            settings = JobSettings(max_concurrent_runs=most, queue=QueueSettings(enabled=True))
            w.jobs.update(jobs[f"{each.team} {kind}"], new_settings=settings)
        for kind, dbus, clusters in (("people", each.people_dbus, each.clusters_each), ("jobs", each.jobs_dbus, None)):
            definition = json.dumps({"dbus_per_hour": {"type": "range", "maxValue": dbus}})
            name = f"{each.team} {kind}"
            w.cluster_policies.edit(policies[name], name=name, definition=definition, max_clusters_per_user=clusters)

    quota_state = exported(lab)
    played = rehearse(quota_state, submissions(lab.seed, "rehearsal"), DailyQuota({each.team: each.quota for each in limits(lab.seed)}))
    for each in limits(lab.seed):
        mine = [run for run in played.runs if run.team == each.team]
        day = played.spent(each.team, BEGIN + DAY)
        print(f"{each.team}: {len(mine)} runs, {sum(run.result == 'CANCELED' for run in mine)} cancelled, {day:.0f} of {each.quota:g} DBU")
### END SOLUTION

# %% tags=["check:5b.4"]
check("5b.4")

# %% [markdown]
# ## Lesson 10: Who used what
#
# The bill comes as records. Each says: this cluster, in this hour, so many DBU of this SKU, with these tags. `month` gives a month of them with the columns
# of `system.billing.usage` (fewer than there are), as plain data; quantities are text, so that nothing is rounded before you look at it:

# %% tags=["demo"]
bill = month(lab.seed, "this")
usage = pd.DataFrame(bill["usage"])
usage["team"] = [tags.get("team", "-") for tags in usage.custom_tags]
usage["dbu"] = usage.usage_quantity.astype(float)
print(f"{len(usage):,} records to {bill['through']}, of {bill['days']} days")
print(usage.groupby(["team", "sku_name", "record_type"]).dbu.agg(["count", "sum"]).round(1).to_string())

# %% [markdown]
# Five things in there make the sum of a column by tag the wrong report:
#
# * **Corrections.** Databricks corrects a record by two more: a `RETRACTION`, which repeats it with a negative quantity, and a `RESTATEMENT` with what
#   is right. Sum all three. Who keeps only `ORIGINAL` bills the mistakes; who counts absolute values bills them three times.
# * **Shared clusters.** The tag says who it belongs to, not who used it. Who used it is in the query history: seconds of work by team and day (`work`).
#   The cost of a day goes by the seconds of that day; where nobody worked, whoever runs the cluster pays: the platform.
# * **Untagged use.** It is nobody's, so it needs a line of its own that somebody sees. Spread over all teams it hides, and grows.
# * **Prices.** A SKU has a price from a moment to a moment. The price of today is wrong for yesterday. (The prices here are made up and nobody's: yours are in
#   your contract. The structure is that of `system.billing.list_prices`.)
# * **Cents.** Rounded lines don't add up to the rounded sum. Round once, at the end, and give the cents that are missing to the lines that lost most.
#
# How much the second one matters:

# %% tags=["demo"]
work = pd.DataFrame(bill["work"]).groupby("team").seconds.sum()
print((work / work.sum()).map("{:.0%}".format).to_string())
days = {row["day"] for row in bill["work"]}
ran = {row["usage_date"] for row in bill["usage"] if row["custom_tags"].get("team") == "shared"}
print(f"days on which the shared cluster ran and nobody worked on it: {len(ran - days)} of {len(ran)}")

# %% [markdown]
# **Idle** is the question after the cost. `nodes` has machine-minutes of each cluster and day, and in how many of them something ran. A cluster that idles
# half of its time stops too late. Add up minutes and divide once: the mean of daily shares gives a short day the weight of a long one.
#
# **A forecast** needn't be clever: each day to come will cost about what that weekday cost so far. That beats the straight line whenever the days that
# are left hold another share of weekends than the days that were.
#
# **A plot for a manager** answers one question at a glance: who, how much. Bars from zero, sorted, with names and a unit, and a title that says it. Its
# figures have to be the report's: `bars_of(figure)` reads back what a picture really shows.
#
# **On Databricks.** The tables are `system.billing.usage`, `system.billing.list_prices`, `system.compute.node_timeline` (a row for each machine and minute,
# with its CPU) and `system.query.history`. List prices are without your discounts, and the cloud's bill for the machines comes beside them, from the
# cloud; a cluster's tags go to both. The account console's dashboard shows usage by tag, and splits no shared cluster.
#
# **Read on:** [billable usage](https://docs.databricks.com/aws/en/admin/system-tables/billing), [compute system
# tables](https://docs.databricks.com/aws/en/admin/system-tables/compute).

# %% [markdown]
# ### Step 5b.5: Utilization across teams
#
# **Produce**
# 1. a function `charge_back(month)` that takes a month as `month(...)` gives it (keys `usage`, `work`, `nodes`, `prices`, `through`, `days`) and returns a dict:
#    * `costs`: amounts as text in whole cents (`"123.45"`) by line: each team by its name, `untagged` for usage without the tag `team`, `platform` for what nobody
#      used of a shared cluster (tag `team` = `shared`). A team's line has its own clusters, and of each shared cluster and day the share of its seconds. Lines of
#      nothing may be left out;
#    * `total`: the sum, as text in cents, which is also exactly the sum of the lines;
#    * `idle`: for each team the share of its own clusters' machine-minutes in which nothing ran, from 0 to 1;
#    * `forecast`: the whole month's cost, as text: what was used so far, and for each day to come the mean cost of that weekday so far (over all days that were
#      that weekday, also those without cost);
# 2. `drawn = bars_of(figure)` of a bar chart of `charge_back(month(lab.seed, "this"))` that a manager understands: one bar for each line, with its name, a title and a
#    unit. `figure` of this course makes an empty one, any of matplotlib will do.
#
# The function is taken as the source of its cell and run by itself: its imports belong into the cell, and what draws below `if __name__ == "__main__":`.
#
# **Checked:** six fresh months, each with another of the five things in it and one with all: lines and sum to the cent, idle shares, the forecast. The bars' names
# and heights against what this month's report has to say.

# %% tags=["answer:5b.5"]
# Write charge_back(month); below it, for this notebook, draw its report and read the picture back.
### BEGIN SOLUTION
from collections import defaultdict
from datetime import date, timedelta
from decimal import ROUND_DOWN, Decimal


def charge_back(month):
    def price(row):
        at = row["usage_start_time"]
        for each in month["prices"]:
            begun = each["price_start_time"] <= at
            if each["sku_name"] == row["sku_name"] and begun and (each["price_end_time"] is None or at < each["price_end_time"]):
                return Decimal(each["price"])

    lines, by_day, shared, owner = defaultdict(Decimal), defaultdict(Decimal), defaultdict(Decimal), {}
    for row in month["usage"]:
        cost = Decimal(row["usage_quantity"]) * price(row)  # what is retracted is negative
        team = row["custom_tags"].get("team", "untagged")
        by_day[row["usage_date"]] += cost
        if team == "shared":
            shared[row["cluster_id"], row["usage_date"]] += cost
        else:
            lines[team] += cost
            owner[row["cluster_id"]] = team

    seconds = defaultdict(lambda: defaultdict(int))
    for row in month["work"]:
        seconds[row["cluster_id"], row["day"]][row["team"]] += row["seconds"]
    for place, cost in shared.items():
        used = seconds[place] or {"platform": 1}
        for team, part in used.items():
            lines[team] += cost * part / sum(used.values())

    total = sum(lines.values())
    cents = {name: cost.quantize(Decimal("0.01"), ROUND_DOWN) for name, cost in lines.items()}
    missing = int((round(total, 2) - sum(cents.values())) * 100)
    for name in sorted(lines, key=lambda name: cents[name] - lines[name])[:missing]:
        cents[name] += Decimal("0.01")

    machine, busy = defaultdict(int), defaultdict(int)
    for row in month["nodes"]:
        team = owner.get(row["cluster_id"])
        machine[team] += row["machine_minutes"]
        busy[team] += row["busy_minutes"]
    idle = {team: 1 - busy[team] / machine[team] for team in machine if team not in (None, "untagged")}

    last = date.fromisoformat(month["through"])
    past = [last - timedelta(days=back) for back in range(last.day)]
    forecast = total
    for ahead in range(1, month["days"] - last.day + 1):
        weekday = (last + timedelta(days=ahead)).weekday()
        same = [by_day[day.isoformat()] for day in past if day.weekday() == weekday]
        forecast += sum(same) / len(same)

    return {
        "costs": {name: str(cost) for name, cost in sorted(cents.items())},
        "total": str(sum(cents.values())),
        "idle": idle,
        "forecast": str(round(forecast, 2)),
    }


if __name__ == "__main__":  # what only this notebook runs
    report = charge_back(month(lab.seed, "this"))
    costs = {name: float(cost) for name, cost in sorted(report["costs"].items(), key=lambda line: -float(line[1]))}
    picture, (axis,) = figure(width=4.4, height=1.7)
    axis.barh(list(costs), list(costs.values()), color=[GREY if name in ("untagged", "platform") else BLUE for name in costs])
    axis.invert_yaxis()
    total, whole = float(report["total"]), float(report["forecast"])
    axis.set_title(f"March so far: {total:,.2f} of about {whole:,.0f} at its end", loc="left", fontsize=10)
    axis.set_xlabel("cost, in the currency of the prices")
    show(picture)
    drawn = bars_of(picture)
### END SOLUTION

# %% tags=["check:5b.5"]
check("5b.5")

# %% [markdown]
# ## What to take with you
#
# * Rights go to groups, levels are the lowest that do, and what isn't said is closed. Test it as somebody else.
# * A pool is a bet on when people ask. Size it from a week, check it on another, and look at both waits and idle machines.
# * A policy that doesn't name an attribute allows it. Begin with everything forbidden.
# * Limits refuse, queues wait, budgets tell. Only what you write yourself stops a day's spending, and it has to know what runs now.
# * A report that doesn't add up to the bill is not read twice. Split what is shared by use, show what is nobody's, round once.

# %% tags=["demo"]
progress("05_resource_management")
