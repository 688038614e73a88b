"""What a right answer is: `exercise_<id>.py`, and the topics that these gather."""
