"""Instance pools: machines that are kept ready, in arithmetic that a simulation uses too, and their routes."""
