# The rule's own replay for rows and progress, one write, and a stream's commits that hold nothing.
from labs_lib.patterns.feeds import sales_events

told = replay([sales_events.night_of(SEED, night) for night in range(1, 5)], pd.Timedelta(hours=2))
path = fresh("hourly_sales")
write_deltalake(path, told.emitted.astype({"lines": "int64"}))
say(path, 0, "CREATE TABLE AS SELECT", numOutputRows=len(told.emitted))
for batch in told.batches:
    if batch.closed:
        claim(path, "STREAMING UPDATE", {"outputMode": "Append"}, numOutputRows=batch.closed)
hourly_progress = [
    {"batch": n, "input_rows": batch.input_rows, "state_rows": batch.state_rows, "watermark": str(batch.watermark), "dropped": batch.dropped}
    for n, batch in enumerate(told.batches)
]
