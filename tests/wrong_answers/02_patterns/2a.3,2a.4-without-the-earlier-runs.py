# The variable is overwritten in each turn of the loop.
exec(SOLUTION)
hourly_progress = runs[-1]
