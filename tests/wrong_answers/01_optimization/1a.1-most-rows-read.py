# The stage that reads the most rows is not the one that works the longest.
stage = max(slow_run.stages, key=lambda stage: stage.input_records)
slow_stage = {"stage": stage.id, "shuffle_bytes": stage.shuffle_read, "share": stage.run_time / slow_run.run_time}
