"""A class: what was handed in, graded side by side, into nbgrader's gradebook and a report."""
