# Imports for the setup cell:
#   import contextlib, itertools, json, threading, time
#   from urllib.request import urlopen
#   from labs_lib import bars, spark_conf
#   from labs_lib.deliveries import play_deliveries
#   from labs_lib.feeds.deliveries import batches
#   from labs_lib.flaky_service import CircuitOpen, FlakyService, ManualClock, Outage
#   from labs_lib.plots import figure, show
#   from labs_lib.writers import interleave

# %% [markdown]
# ## Lesson: Retries, and when to stop calling
#
# Why it matters: a pipeline that enriches its rows from a service is only as available as that service. What it does in the minutes when the service is down
# decides whether the outage stays there. Two tools belong together:
#
# | tool | answers the question | does harm when |
# |---|---|---|
# | **Retry with backoff** | was that one call unlucky? Wait a little, longer each time, with some randomness (jitter), and try again | the service is down for everybody: each caller then sends a multiple of its calls to a service that is trying to come back |
# | **Circuit breaker** | is the service down? After some failures in a row make no calls for a while, fail at once, then try a single one | calls are so rare that "in a row" spans hours, or the failures are the caller's own |
#
# Neither works without a third: **a timeout on every call**. Python's `urllib` and `http.client` wait for ever unless told otherwise, and a call that hangs is neither a success
# nor a failure.
#
# To try them on something real, `FlakyService` starts an HTTP service on this machine that knows the region of each store. It is down when its script says so, by a
# clock that only moves when it is told to: nobody has to wait for an outage. It keeps a record of the calls that reached it.

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
# Two kinds of trouble, and the difference matters. An answer of 503 or a lost connection says something about **the service**; Python raises some `OSError` for both. An unknown
# store says something about **the question**: the service is well and answered. Only the first kind is a reason to stop calling.
#
# Now an outage of three minutes, and a job that asks for a store every five seconds: plainly, and with up to three retries.

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


def plainly(clock):
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


reached = {"plainly": calls_per_minute(plainly), "with three retries": calls_per_minute(with_retries)}
plot_calls(reached)

# %% [markdown]
# Retries quadruple the load just when the service can bear it least, and every row of the job waits for all of them. A breaker does the opposite.
#
# It has three states. **Closed**: calls pass; failures in a row are counted, and a success sets the count back to nothing. At the limit it **opens**: calls are refused at once,
# without being made. When the cooldown has passed, the next call is let through as a probe: the breaker is **half-open** while it runs. If the probe
# succeeds, the breaker closes; if it fails, it opens again for a whole cooldown.
#
# A popular sketch of a breaker goes wrong in ways that are worth knowing:
#
# * It never sets the count back on a success. Three failures in three weeks then open it.
# * It keeps time with `time.time()`, which jumps when the machine's clock is set. `time.monotonic()` does not.
# * In the half-open state it lets *every* caller through. A service that has just come back meets all of them at once.
# * It has no lock, though callers run in threads. The opposite mistake is as common: a lock that is held while the call runs, so that one slow call
#   blocks all the others, and they time out.
# * It wraps the whole batch, so a bad row or a full disk counts as a failure of the service.
# * When it is open, the batch is *skipped*: the function returns, the stream notes the batch as done, and its rows are lost. Raise instead, so that the batch comes
#   again, or put the rows into a table of pending ones.
#
# **Where it belongs in Spark.** On the driver: in the function of a `foreachBatch`, around a lookup that serves the whole batch, or around the job that a step starts. Not
# in a UDF: each Python worker would have a breaker of its own, none of them sees the others' failures, and a call per row was the
# problem to begin with. Collect the distinct keys, look them up once on the driver, and join.
#
# **Your own code or a library?** For work, take a library: `tenacity` for retries (backoff, jitter, which exceptions, when to give up), `pybreaker` for breakers (listeners, and a state
# that several processes share through Redis). Here you write one, because the behaviour at the edges is what you have to know to set one up.
#
# **On Databricks.** The same. `foreachBatch` runs on the driver there too; with Spark Connect and on serverless or standard compute it runs in a process of its own, so make the breaker inside the
# function's own module, and don't expect the notebook to see its state.
#
# **Read on:** [Martin Fowler: CircuitBreaker](https://martinfowler.com/bliki/CircuitBreaker.html), [tenacity](https://tenacity.readthedocs.io/), [pybreaker](https://github.com/danielfm/pybreaker).

# %% [markdown]
# ### Step 2b.3: Circuit breaker
#
# **Produce** a class `CircuitBreaker`:
# * `CircuitBreaker(failures=3, cooldown=30.0, clock=time.monotonic)`: how many failures in a row open it, for how many seconds it then stays open, and the clock that it goes by;
# * `.call(function, *args)` returns what `function(*args)` returns, or raises what it raises. While the breaker is open, and for a second call while a probe is
#   running, it raises `CircuitOpen` at once and does not call the function;
# * `.state`: `"closed"`, `"open"`, or `"half-open"` while a probe is running. (An open breaker whose cooldown has passed may still say `"open"` until the next call.)
#
# A failure is an `OSError`. Any other exception is passed on and counts as a success, for the service did answer.
#
# **Checked:** your class is led through scripted outages of a real service, with a clock that the check moves and numbers that your notebook has not seen. Six things are looked at: opening
# after failures in a row; refusing while open; a probe that succeeds; a probe that fails; two calls from two threads at once, while closed and while half-open; errors that are
# no failures. Which calls were made is read from the service's own record.

# %% tags=["answer:2b.3"]
# Write the class CircuitBreaker.
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
reached["with a breaker"] = calls_per_minute(lambda clock: CircuitBreaker(failures=3, cooldown=30.0, clock=clock).call)
plot_calls(reached)
bars({name: sum(counts[3:6]) for name, counts in reached.items()}, "Calls made to a service that is down", "calls in three minutes", highlight=["with a breaker"])

# %% [markdown]
# The price shows in minute 7: after the service came back, the breaker stayed open until its cooldown ended. A long cooldown spares the service and
# loses answers that could be had. Start from how long the service usually takes to come back.

# %% [markdown]
# ## Lesson: Writing the same batch twice
#
# Why it matters: every queue, every scheduler with retries and every `foreachBatch` promises *at least once*. A batch comes again when the acknowledgement was lost, when the driver
# died after its last commit, when somebody pressed "repair run". A write is **idempotent** if doing it again changes nothing. "Exactly once" is the sum of the two: delivered at least once, applied idempotently.
#
# What a retry does to a plain append, with a batch of real sales lines:

# %% tags=["demo"]
lab.drop("retried")
batch = spark.createDataFrame(batches(lab.seed)[1])
for _ in range(2):
    batch.write.mode("append").saveAsTable("retried")
print(f"appended twice: {spark.table('retried').count()} rows for {batch.count()} lines")

# %% [markdown]
# Delta can recognise a write by a **transaction id**: `txnAppId`, a name for the writer, and `txnVersion`, a whole number. The two are stored in the log *in the same commit* as the rows. A write whose version is
# not above the one on record for its name is skipped, and the call returns as if it had written.

# %% tags=["demo"]
lab.drop("retried")
batch.limit(0).write.saveAsTable("retried")
for version in (5, 5, 4):
    batch.write.mode("append").option("txnAppId", "nightly-sales").option("txnVersion", version).saveAsTable("retried")
    print(f"version {version}: {spark.table('retried').count()} rows")
log = spark.read.json(f"{lab.path('retried')}/_delta_log/*.json")
log.where("txn IS NOT NULL").select("txn.appId", "txn.version").show()

# %% [markdown]
# Look at the last one. Version 4 was skipped although nobody ever wrote it: the log keeps one number per name, the highest. **One name for a feed works only if its batches come in order**, as they do in
# `foreachBatch`, where the query's id and the batch id make a good pair. A queue promises no order: there, give each batch a name of its own. (Names stay in the table's
# state; `delta.setTransactionRetentionDuration` lets old ones go.)
#
# The options work for appends and overwrites by a DataFrame. For MERGE, UPDATE, DELETE and INSERT in SQL the same two are session settings. `spark_conf` sets them for a block: left set, they would
# make Delta skip the *next* statement.

# %% tags=["demo"]
before = spark.table("retried").agg(F.sum("quantity")).first()[0]
for _ in range(2):
    with spark_conf(spark, {"spark.databricks.delta.write.txnAppId": "recount", "spark.databricks.delta.write.txnVersion": 1}):
        spark.sql("UPDATE retried SET quantity = quantity + 1")
added = spark.table("retried").agg(F.sum("quantity")).first()[0] - before
print(f"an UPDATE run twice: each row got {added / batch.count():g} more")

# %% [markdown]
# The other way needs a key in the data: `MERGE ... ON line_id WHEN NOT MATCHED THEN INSERT`. It finds again what is there, at the price of reading the target. Leave out `WHEN MATCHED THEN
# UPDATE SET *` if rows never change: it rewrites every row of a repeated batch with itself, and each rewrite goes on to whoever reads the table's changes. Popular recipes do that, and
# make up a random id per attempt besides, which can recognise nothing: **an id has to come with the batch**, not from the code that writes it.
#
# **Sums are the hard part.** `SET sales = t.sales + b.sales` is right once and wrong twice. It needs a transaction id, or sums that are computed again from the rows.
#
# **Two tables are two transactions.** After a crash in between, one has the batch and the other does not. No order of the two writes avoids that; what helps is that each is
# idempotent by itself, so that the retry passes over the first and makes the second.
#
# ### Two writers at once
#
# Delta is *optimistic*: a transaction reads a version, does its work without a lock, and at the commit looks at what others committed meanwhile. If that touches what it read, it fails with a
# conflict, and nothing of it is visible. What counts as touching is a matter of the **isolation level**:
#
# * **Serializable**: the outcome is that of running the writes one after the other, in the order of the table's history. Open-source Delta knows only this level.
# * **WriteSerializable**, the default on Databricks: one after the other too, though perhaps not in that order. Blind appends (which read nothing of the table) then disturb nobody.
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


lines = batches(lab.seed)[1].slice(0, 20)
lab.drop("contended")
append(spark.createDataFrame(lines))
outcomes = []
for slow, quick in ((append, append), (merge, append), (merge, merge)):
    slow_one, quick_one = interleave(lab, slow, quick, lines)
    outcomes.append({"slow": slow.__name__, "quick": quick.__name__, "the quick one": str(quick_one), "the slow one": str(slow_one)})
pd.DataFrame(outcomes)

# %% [markdown]
# An append reads nothing, so nothing can have changed under it. The MERGE had looked for its lines in a table that now has more of them. Under WriteSerializable the second pair passes: the MERGE might have come first. It
# then inserts lines that the append has just written, which is the price of that level.
#
# A conflict is good news: the loser wrote nothing and can simply run again. With a transaction id the loser of a race for the same batch gets one too (DELTA_CONCURRENT_TRANSACTION), and its retry finds the batch done.
#
# **On Databricks.** The same options and settings, and `delta.isolationLevel` may be set to either level. *Row-level concurrency* (tables with deletion vectors, runtime 14.2 and later) lets two MERGEs pass there that touch different rows of one file; in open source a conflict is decided by files.
# `BEGIN ATOMIC ... END` makes one transaction of writes to several tables, on runtime 18.0 and later, for managed tables of Unity Catalog with catalog commits (a public preview at the time of
# writing). It takes away the crash in between, and not the second delivery: a stream's checkpoint is no part of it.
#
# **Read on:** [Delta: concurrency control](https://docs.delta.io/concurrency-control), [Delta: streaming writes, with idempotent ones](https://docs.delta.io/latest/delta-streaming.html),
# [Databricks: isolation levels](https://docs.databricks.com/aws/en/optimizations/isolation/isolation-levels).

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
# Batch 1 comes twice. Batch 2 comes while `store_totals` refuses it, and batch 3 while `sales_log` refuses it (a CHECK constraint that somebody added). When your function raises, the batch counts as not delivered and
# comes again later: batch 3 first, then batch 2. Batch 4 is taken by two writers at once. When your function returns, the batch is never seen again.
#
# **Produce** a function `write_batch(batch, batch_id)` that writes a batch to both tables, `sales_log` first. `batch` is a DataFrame with the columns of `sales_log`, `batch_id` an int that is
# the same in each delivery of a batch. Each writer has a Spark session of its own: use `batch.sparkSession` for SQL, as in `foreachBatch`. The last line of the cell runs the deliveries.
#
# **Checked:** the rows of both tables; that their histories show the deliveries; and that a repeated delivery changed nothing: no line inserted twice or rewritten, `store_totals` changed at most once per batch.

# %% tags=["answer:2b.4"]
# Write write_batch(batch, batch_id); the last line delivers the batches.
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


### END SOLUTION
play_deliveries(lab, write_batch)

# %% tags=["check:2b.4"]
check("2b.4")
