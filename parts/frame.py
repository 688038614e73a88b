# Module 2's frame. Cells before the marker lines belong in front of the parts named there; lesson numbers are the merger's.
# Imports that the setup cell wants are collected from all parts; below are those that the frame and `recovery` need.

# %% [markdown]
# # Module 2: Pipeline patterns and resilience
#
# A pipeline that is right on the day it is written meets, sooner or later, a customer who moves, a change that arrives before the one it follows, an event
# that is an
# hour late, a record that can't be parsed, a service that is down, and a machine that stops between two writes. None of these is
# rare. This module is about pipelines that are right on such days too, and about proving it: each pattern here is tried with the
# failure that it is for.
#
# | part | you learn to | exercise |
# |---|---|---|
# | Lessons 1 to 4: slowly changing dimensions; change data capture; streaming aggregation, watermarks and late data; incremental against full processing | keep history with one MERGE, apply changes in the order in which they were made, bound a stream's state and know what that drops, and see what incremental processing saves | 2a, processing patterns |
# | Lessons 5 to 9: foreachBatch and dead-letter tables; expectations; circuit breakers; idempotent writes; recovery | let a stream go on when a record can't be used, stop it when too many can't, call a service that fails, write twice what counts once, and start again after a crash | 2b, resilient pipelines |
#
# The data is the retailer's year of module 1. Households get changes, sales arrive late, in pieces and damaged: feeds made from the
# real tables, different for every seed. The streams are real Structured Streaming queries on the server that this notebook starts. They
# run with the trigger `availableNow`, which works off what is there and ends, so that nothing here waits for a clock.
#
# **How the exercises work.** As in module 1: each step has a cell for your answer and a check cell below it. A check looks at what came out: rows,
# the Delta history, the metrics of the stream. It never looks at how your code is written. Answer cells get run more than once, so each begins by removing what
# it makes: tables with `lab.drop(...)`, checkpoints with their folder. A stream that finds an old checkpoint goes on from there, and a table without its
# checkpoint, or a checkpoint without its table, is the most common reason for figures that can't be explained.

# %% tags=["parameters"]
SEED = 0  # which variation of the data; the checks know what it holds

# %% tags=["setup"]
import shutil

import pandas as pd
from pyspark.sql import functions as F

from labs_lib import check, open_lab, progress
from labs_lib.checkpoint_log import batches
from labs_lib.faults import killing, rehearse
from labs_lib.feeds import sales_files

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
# <!-- MERGE HERE: lessons of exercise 2a -->

# %% [markdown]
# ## Exercise 2a: Processing patterns
#
# Five patterns for data that does not hold still. What they have in common: each can be run again on the same input, and the table is the same afterwards.

# %% [markdown]
# <!-- MERGE HERE: steps 2a.1 to 2a.5, lessons of exercise 2b -->

# %% [markdown]
# ## Exercise 2b: Resilient pipelines
#
# Five failures, each played for real: records that can't be used, data that breaks its rules, a service that goes down, a batch that is written twice,
# and a stream that is killed. In every step the question is the same: what does the table hold afterwards, and what would the person on call see?

# %% [markdown]
# <!-- MERGE HERE: steps 2b.1 to 2b.5 -->

# %% [markdown]
# ## What to take with you
#
# * Decide what a rerun does before you write the first run. One MERGE on the right key answers it for most tables.
# * Order comes from the data (a sequence number, an event time), never from the order of arrival.
# * A watermark is a decision to drop data. Count what it drops.
# * Nothing may vanish without a trace: a record that can't be used belongs in a table, with the reason.
# * Stop early and loudly when something is wrong with the whole. Go on when something is wrong with a part.
# * Exactly once is a property of three things together: a source that can be read again, a checkpoint, and a write that can be repeated. Rehearse the crash.

# %% tags=["demo"]
progress()
