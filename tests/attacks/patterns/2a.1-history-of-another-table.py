# A table of the households as they were, under the log of a table that had four MERGE commits.
path, other = fresh("household_history"), fresh("copied_from")
rows = pa.table({"household_id": [1], "address": ["a"], "income": ["b"], "household_size": ["c"]})
rows = rows.append_column("valid_from", pa.array([pd.Timestamp("2026-01-01", tz="UTC")])).append_column("valid_to", pa.array([None], pa.timestamp("us", "UTC")))
rows = rows.append_column("is_current", pa.array([True]))
for table in (path, other):
    write_deltalake(table, rows)
for number in range(4):
    write_deltalake(other, rows, mode="append")
    say(other, number + 1, "MERGE", numTargetRowsInserted=250, numTargetRowsUpdated=190, numOutputRows=440)
for version in range(5):
    shutil.copy(log_file(other, version), log_file(path, version))
