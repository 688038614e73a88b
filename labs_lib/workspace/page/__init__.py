"""The page at the workspace's address: read only, behind the token. Services that have `overview(ctx)` are on it."""

from labs_lib.workspace.page.view import COOKIE, ENDPOINTS, PATH, refusal

__all__ = ["COOKIE", "ENDPOINTS", "PATH", "SCHEMA", "refusal"]

SCHEMA = ""
