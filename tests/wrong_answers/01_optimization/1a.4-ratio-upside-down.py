slow_runs = [measure(slow) for _ in range(3)]
tuned_runs = [measure(tuned) for _ in range(3)]
reduction = median(run.shuffle_bytes for run in tuned_runs) / median(run.shuffle_bytes for run in slow_runs)
