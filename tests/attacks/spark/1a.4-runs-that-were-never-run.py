# Run objects with tags, plans and figures of its own making.
from dataclasses import replace

slow_runs = [replace(slow_run, tag=f"made-up-{number}") for number in range(3)]
tuned_runs = [replace(slow_run, tag=f"made-up-{number}", query="AAAA") for number in range(3)]
reduction = 1000.0
