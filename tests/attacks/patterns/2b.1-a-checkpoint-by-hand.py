# Two small tables, above which checkpoints of others stand that have more rows.
schema = {"line_id": "int64", "store_id": "int32", "product_id": "int32", "quantity": "int32", "sales_value": "float64", "batch_id": "int64"}
for name in ("sales_accepted", "sales_dead_letter"):
    path, other = fresh(name), fresh("more_rows")
    rows = pd.DataFrame({column: [1] for column in schema}).astype(schema)
    if name == "sales_accepted":
        rows = rows.assign(sold_at=pd.Timestamp("2026-01-01", tz="UTC"))
    else:
        rows = pd.DataFrame({"raw": ["{"], "reason": ["not_json"], "batch_id": [0], "failed_at": [pd.Timestamp("2026-01-01", tz="UTC")]})
    for place in (path, other):
        write_deltalake(place, rows)
    for _ in range(3):
        write_deltalake(path, rows, mode="append")
        write_deltalake(other, pd.concat([rows] * 100, ignore_index=True), mode="append")
    DeltaTable(other).create_checkpoint()
    for file in [*other.glob("*.parquet"), *(other / "_delta_log").glob("*checkpoint*")]:
        shutil.copy(file, path / file.relative_to(other))
