"""The page at the workspace's address: read only, behind the token."""

from labs_lib.workspace.page.view import COOKIE, ENDPOINTS, PATH, refusal

__all__ = ["COOKIE", "ENDPOINTS", "PATH", "SCHEMA", "refusal"]

SCHEMA = ""
