# "numRowsDropped": rows are rows. They are groups.
exec(SOLUTION)
late = [{**row, "lost_lines": row["dropped"]} for row in late]
