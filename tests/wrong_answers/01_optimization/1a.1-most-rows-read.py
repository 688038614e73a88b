# The stage that reads the most rows is not the one that works the longest.
by_time = sorted(slow_run.stages, key=lambda stage: stage.run_time)  # without the slowest, so that no cold disk makes this right
stage = max(by_time[:-1], key=lambda stage: stage.input_records)
slow_stage = {"stage": stage.id, "shuffle_bytes": stage.shuffle_read, "share": stage.run_time / slow_run.run_time}
