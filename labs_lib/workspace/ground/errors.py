"""Refusals as the SDK maps them: a status, an error code, one sentence that says which rule refused what value."""

from __future__ import annotations

from typing import ClassVar

from labs_lib.errors import LabsError

# The SDK takes an error whose message holds one of these for a passing one, and asks again until its time is up
# (databricks.sdk.errors.retries and core, 0.162). A name that a caller chose may hold them, so they are broken up.
RETRIED_WORDS = (
    "Unexpected error",
    "Please try again later",
    "ClusterNotReadyException",
    "worker environment",
    "RPC token bucket limit has been exceeded",
)


class WorkspaceError(LabsError):
    """A request that is refused. `message` is the sentence that the caller gets."""

    status: ClassVar[int] = 400
    error_code: ClassVar[str] = "BAD_REQUEST"

    @property
    def message(self) -> str:
        text = str(self)
        for words in RETRIED_WORDS:
            text = text.replace(words, f"{words[:7]}_{words[7:]}")
        return text


class MalformedRequest(WorkspaceError):
    error_code = "MALFORMED_REQUEST"


class InvalidParameter(WorkspaceError):
    error_code = "INVALID_PARAMETER_VALUE"


class InvalidState(WorkspaceError):
    error_code = "INVALID_STATE"


class AlreadyExists(WorkspaceError):
    error_code = "RESOURCE_ALREADY_EXISTS"


class QuotaExceeded(WorkspaceError):
    """400, not 429: the SDK would ask again for as long as it is given time."""

    error_code = "QUOTA_EXCEEDED"


class ResourceExhausted(WorkspaceError):
    """400, not 429: the SDK would ask again for as long as it is given time."""

    error_code = "RESOURCE_EXHAUSTED"


class Unauthenticated(WorkspaceError):
    """No token at all; one that is unknown, expired or revoked is a PermissionDenied, as on Databricks."""

    status = 401
    error_code = "UNAUTHENTICATED"


class PermissionDenied(WorkspaceError):
    status = 403
    error_code = "PERMISSION_DENIED"


class NotFound(WorkspaceError):
    status = 404
    error_code = "RESOURCE_DOES_NOT_EXIST"


class NoSuchEndpoint(WorkspaceError):
    status = 404
    error_code = "ENDPOINT_NOT_FOUND"


class TooLarge(WorkspaceError):
    status = 413
    error_code = "REQUEST_ENTITY_TOO_LARGE"


class Fault(WorkspaceError):
    """The workspace's own: never raised by a rule."""

    status = 500
    error_code = "INTERNAL_ERROR"
