"""Jobs and their runs. `rules` says what happens next, `flow` keeps it, `runner` runs it, `routes` speaks of it."""

from labs_lib.workspace.jobs.routes import ENDPOINTS, SCHEMA, busy, due, export, load, start, stop, tick

__all__ = ["ENDPOINTS", "SCHEMA", "busy", "due", "export", "load", "start", "stop", "tick"]
