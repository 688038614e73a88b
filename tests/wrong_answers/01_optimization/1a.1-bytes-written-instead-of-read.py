stage = max(slow_run.stages, key=lambda stage: stage.run_time)
slow_stage = {"stage": stage.id, "shuffle_bytes": stage.shuffle_write, "share": stage.run_time / slow_run.run_time}
