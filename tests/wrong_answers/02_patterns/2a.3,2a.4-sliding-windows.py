# A window beginning every half hour: each line counts twice.
exec(SOLUTION.replace('F.window("event_time", "1 hour")', 'F.window("event_time", "1 hour", "30 minutes")'))
