"""Data feeds of the exercises: pure functions of the seed, made from the course's real tables."""
