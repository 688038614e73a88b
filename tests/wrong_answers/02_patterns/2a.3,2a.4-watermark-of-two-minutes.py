# A slip of the unit: windows close two hours too early, and the lines that come for them are lost.
exec(SOLUTION.replace('hourly(feed, "2 hours")', 'hourly(feed, "2 minutes")'))
