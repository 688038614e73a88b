slow_runs, tuned_runs = [], []
for _ in range(5):
    tuned_runs.append(measure(tuned))
    if len(slow_runs) < 3:
        slow_runs.append(measure(slow))
reduction = float(pd.Series([run.shuffle_bytes for run in slow_runs]).median() / pd.Series([run.shuffle_bytes for run in tuned_runs]).median())
