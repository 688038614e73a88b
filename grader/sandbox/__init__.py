"""The box that a stranger's code runs in: bubblewrap, limits, a watch, a filter of system calls."""
