"""Who there is: users, groups, service principals, as SCIM has them, and the tokens that they show."""

from labs_lib.workspace.identity import principals, scim, tokens
from labs_lib.workspace.identity.principals import (
    LEARNER,
    entitled,
    known,
    named,
    prepare,
    require_admin,
    the,
)
from labs_lib.workspace.identity.state import export, load
from labs_lib.workspace.identity.tokens import adopt, as_user, caller_of, owner_of

SCHEMA = principals.SCHEMA + tokens.SCHEMA
ENDPOINTS = (*scim.ENDPOINTS, *tokens.ENDPOINTS)

__all__ = [
    "ENDPOINTS",
    "LEARNER",
    "SCHEMA",
    "adopt",
    "as_user",
    "caller_of",
    "entitled",
    "export",
    "known",
    "load",
]
__all__ += ["named", "owner_of", "prepare", "require_admin", "the"]
