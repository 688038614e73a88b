"""Build, run, judge and report: the instructors' and CI's side of the course."""
