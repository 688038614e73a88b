"""Running the solutions: papermill with a fresh seed, nbval against what is committed, and a report of both."""
