# Seven days for both: the history ends with the files.
exec(SOLUTION.replace("30 days", "7 days"))
