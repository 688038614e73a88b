"""Access control lists on objects: who may what, by name or by group, here or on what an object lies in."""

from labs_lib.workspace.permissions.lists import SCHEMA as SCHEMA
from labs_lib.workspace.permissions.lists import (
    ObjectType,
    allowed,
    forget,
    grant_owner,
    level_of,
    register,
    require,
)
from labs_lib.workspace.permissions.routes import ENDPOINTS, export, load, overview

__all__ = [
    "ENDPOINTS",
    "SCHEMA",
    "ObjectType",
    "allowed",
    "export",
    "forget",
    "grant_owner",
    "level_of",
    "load",
    "overview",
    "register",
    "require",
]
