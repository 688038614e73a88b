exec(SOLUTION.replace(", queue=QueueSettings(enabled=True)", ""))
