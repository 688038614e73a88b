# Replaces the run that the lesson gives by one whose only stage took all the time and read no shuffle.
import dataclasses

only = dataclasses.replace(slow_run.stages[0], run_time=1_000_000, shuffle_read=0)
slow_run = dataclasses.replace(slow_run, stages=(only,))
slow_stage = {"stage": only.id, "shuffle_bytes": 0, "share": 1.0}
