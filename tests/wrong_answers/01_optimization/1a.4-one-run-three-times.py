one, other = measure(slow), measure(tuned)
slow_runs, tuned_runs = [one] * 3, [other] * 3
reduction = one.shuffle_bytes / other.shuffle_bytes
