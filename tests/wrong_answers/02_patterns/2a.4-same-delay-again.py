# The table is made anew, with the delay of before.
exec(SOLUTION.replace('hourly(feed, "24 hours")', 'hourly(feed, "2 hours")'))
