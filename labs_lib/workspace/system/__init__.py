"""The system tables: what the workspace did, as Delta tables with the published columns."""

from labs_lib.workspace.system.tables import ENDPOINTS, SCHEMA, prepare, start, stop

__all__ = ["ENDPOINTS", "SCHEMA", "prepare", "start", "stop"]
