"""Access control lists on objects: who may what, by name or by group, here or on what an object lies in."""

from labs_lib.workspace.permissions.lists import SCHEMA, allowed, forget, grant_owner, register, require
from labs_lib.workspace.permissions.routes import ENDPOINTS, export, load

__all__ = ["ENDPOINTS", "SCHEMA", "allowed", "export", "forget", "grant_owner", "load", "register", "require"]
