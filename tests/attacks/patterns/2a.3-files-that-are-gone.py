# Earlier versions of the table speak of files that never were, so that nothing can be held against them.
from labs_lib.patterns.feeds import sales_events

told = replay([sales_events.night_of(SEED, night) for night in range(1, 5)], pd.Timedelta(hours=2))
path, begun = fresh("hourly_sales"), 0
for version, closed in enumerate(batch.closed for batch in told.batches if batch.closed):
    write_deltalake(path, told.emitted.astype({"lines": "int64"}).iloc[begun : begun + closed].reset_index(drop=True), mode="append")
    say(path, version, "STREAMING UPDATE", {"outputMode": "Append"}, numOutputRows=closed)
    begun += closed
first = next(action["add"] for action in actions_of(path, 0) if "add" in action)
put(path, 0, [({"add": first | {"path": "part-ghost.parquet"}} if "add" in action else action) for action in actions_of(path, 0)])
ghost = {"remove": {"path": "part-ghost.parquet", "deletionTimestamp": 1, "dataChange": False}}
info = {"commitInfo": {"timestamp": 4_000_000_000_000, "operation": "OPTIMIZE"}}
put(path, version + 1, [info, ghost, {"add": first | {"dataChange": False}}])
hourly_progress = [
    {"batch": n, "input_rows": batch.input_rows, "state_rows": batch.state_rows, "watermark": str(batch.watermark), "dropped": batch.dropped}
    for n, batch in enumerate(told.batches)
]
