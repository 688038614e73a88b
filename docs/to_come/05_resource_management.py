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

