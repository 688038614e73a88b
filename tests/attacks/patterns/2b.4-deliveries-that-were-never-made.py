# The log and the totals in one write each, between constraints that only commits speak of.
from labs_lib.patterns.feeds.deliveries import batches as delivered

rows = pa.concat_tables(delivered(SEED).values())
totals = rows.group_by("store_id").aggregate([("line_id", "count"), ("sales_value", "sum")])
totals = totals.select(["store_id", "line_id_count", "sales_value_sum"]).rename_columns(["store_id", "lines", "sales"])
for name, table in (("sales_log", rows), ("store_totals", totals)):
    path = fresh(name)
    write_deltalake(path, table)
    say(path, 0, "WRITE", {"mode": "Append"}, numOutputRows=150)
    claim(path, "ADD CONSTRAINT")
    claim(path, "DROP CONSTRAINT")
    for _ in range(3):
        claim(path, "WRITE", {"mode": "Append"}, numOutputRows=150)
