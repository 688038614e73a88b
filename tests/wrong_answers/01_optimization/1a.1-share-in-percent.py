stage = max(slow_run.stages, key=lambda stage: stage.run_time)
slow_stage = {"stage": stage.id, "shuffle_bytes": stage.shuffle_read, "share": 100 * stage.run_time / slow_run.run_time}
