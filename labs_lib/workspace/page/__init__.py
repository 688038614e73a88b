"""The page at the workspace's address: read only, behind the token."""

COOKIE = "labs-workspace"
PATH = "/page"
SCHEMA = ""
ENDPOINTS = ()
