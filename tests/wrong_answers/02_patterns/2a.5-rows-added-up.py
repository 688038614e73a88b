# The incremental figures as a running total.
exec(SOLUTION)
running = 0
for row in cost:
    running += row["incremental_rows"]
    row["incremental_rows"] = running
