# Both tables written once, with commits of words for the other nights, and costs typed in.
from labs_lib.patterns.feeds import sales_events

lines = sales_events.events(SEED)
lines = lines.assign(day=lines.event_time.dt.date)
final = lines.groupby(["day", "store_id"], as_index=False).agg(lines=("sales_value", "size"), sales=("sales_value", "sum"))
cost = []
for name in ("daily_incremental", "daily_full"):
    path = fresh(name)
    write_deltalake(path, final)
    say(path, 0, "WRITE", numOutputRows=len(final))
    for night in range(2, 5):
        rows = len(lines[lines.night == night].groupby(["day", "store_id"]))
        claim(path, "MERGE", numTargetRowsInserted=0, numTargetRowsUpdated=rows)
for night in range(1, 5):
    so_far = [len(sales_events.file_of(SEED, each)) for each in range(1, night + 1)]
    rows = int((lines.night == night).sum()), int((lines.night <= night).sum())
    cost.append({"night": night, "incremental_rows": rows[0], "full_rows": rows[1], "incremental_bytes": so_far[-1], "full_bytes": sum(so_far)})
