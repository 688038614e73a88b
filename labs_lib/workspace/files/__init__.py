"""Workspace files, notebooks and folders."""

from labs_lib.workspace.files.routes import ENDPOINTS, SCHEMA, below, export, load, prepare, put, read

__all__ = ["ENDPOINTS", "SCHEMA", "below", "export", "load", "prepare", "put", "read"]
