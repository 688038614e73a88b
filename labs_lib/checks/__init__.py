"""Observations and judgements of each exercise's steps: `exercise_<id>.py`."""
