exec(SOLUTION)
drawn = {f"{row['change']}: {row['figure']}": [row["before"], row["after"]] for row in before_after}
