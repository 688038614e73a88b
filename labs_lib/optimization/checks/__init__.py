"""What a right answer is: `exercise_<id>.py`."""
