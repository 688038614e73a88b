# "The last stage is where it hangs": the final aggregation of a few rows.
stage = slow_run.stages[-1]
slow_stage = {"stage": stage.id, "shuffle_bytes": stage.shuffle_read, "share": stage.run_time / slow_run.run_time}
