# Right windows in the end and right numbers in each commit, written by no stream: the windows of one night came with another's. Earns: 1.5, for rows and progress.
from labs_lib.patterns.feeds import sales_events

told = replay([sales_events.night_of(SEED, night) for night in range(1, 5)], pd.Timedelta(hours=2))
path, begun = fresh("hourly_sales"), 0
rows = told.emitted.astype({"lines": "int64"}).sort_values(["store_id", "window_start"], ignore_index=True)
for version, closed in enumerate(batch.closed for batch in told.batches if batch.closed):
    write_deltalake(path, rows.iloc[begun : begun + closed], mode="append")
    say(path, version, "STREAMING UPDATE", {"outputMode": "Append"}, numOutputRows=closed)
    begun += closed
hourly_progress = [
    {"batch": n, "input_rows": batch.input_rows, "state_rows": batch.state_rows, "watermark": str(batch.watermark), "dropped": batch.dropped}
    for n, batch in enumerate(told.batches)
]
