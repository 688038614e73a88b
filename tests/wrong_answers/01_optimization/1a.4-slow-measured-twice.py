slow_runs = [measure(slow) for _ in range(3)]
tuned_runs = slow_runs
reduction = 1.0
