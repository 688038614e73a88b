exec(SOLUTION)
pruned_runs = [*pruned_runs, measure(pruned)]
before_after = pd.DataFrame(before_after).assign(seconds=[run.run_time / 1000 for run in (skewed_runs[0], salted_runs[0], pruned_runs[0])])
before_after = before_after.sort_values("figure")
