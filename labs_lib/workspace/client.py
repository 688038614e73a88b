"""A learner's way to a workspace: the local one of a lab's folder, or the one that DATABRICKS_HOST and DATABRICKS_TOKEN name.

Nothing here imports the service, nor, before it is asked for a client, the SDK, which takes seconds.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labs_lib.errors import LabsError
from labs_lib.workspace import process

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

# Seconds: the SDK's own would try a workspace that is gone for five minutes, and a statement may be waited for 50.
RETRIES, PATIENCE = 10, 60

_clients: dict[tuple[Path, str | None], WorkspaceClient] = {}


def workspace(lab_folder: Path, user: str | None = None) -> WorkspaceClient:
    """A client of the workspace as its admin, or as the user of that address (or service principal of that application id).

    Starts the local service if it does not run; a client that is at hand when it stops starts it again at its next call.
    Raises LabsError if there is no such user, or no token of his for a workspace elsewhere.
    """
    from databricks.sdk import WorkspaceClient

    if is_elsewhere():
        return WorkspaceClient(token=token_for(lab_folder, user) if user else None)
    folder = folder_of(lab_folder)
    process.ensure(folder)
    if (folder, user) not in _clients:
        _clients[folder, user] = WorkspaceClient(config=_config(folder, token_for(lab_folder, user)))
    return _clients[folder, user]


def token_for(lab_folder: Path, user: str | None = None) -> str:
    """A token of the user of that address, or of the admin: for the SDK, curl or Terraform. Raises LabsError as `workspace` does."""
    if is_elsewhere():
        variable = f"DATABRICKS_TOKEN_{''.join(c if c.isalnum() else '_' for c in user or '').upper()}"
        token = os.environ.get(variable if user else "DATABRICKS_TOKEN")
        if not token:
            raise LabsError(
                f"DATABRICKS_HOST names a workspace elsewhere, which gives nobody the token of {user}; set {variable} to one of theirs."
            )
        return token
    if user is None:
        return process.ensure(folder_of(lab_folder)).token
    return str(_ask(lab_folder, "POST", "/api/labs/tokens", {"user_name": user})["token_value"])


def address_of(lab_folder: Path) -> str:
    """The workspace's address: what `host` is in a configuration."""
    return os.environ["DATABRICKS_HOST"] if is_elsewhere() else process.ensure(folder_of(lab_folder)).address


def move_clock(lab_folder: Path, seconds: float) -> int:
    """Have the local workspace's time jump ahead, with all that becomes due on the way; returns it in ms since 1970 UTC."""
    return int(_ask(lab_folder, "POST", "/api/labs/clock", {"advance": seconds})["now"])


def simulate(lab_folder: Path, to: int) -> None:
    """Have the local workspace's time go on to that moment (ms since 1970 UTC) as in a simulation: from event to event, and from each only when the
    tasks that began at it have told how long they take. Where no task runs it is as quick as `move_clock`.
    """
    while not _ask(lab_folder, "POST", "/api/labs/jobs/advance", {"to": to})["done"]:
        pass


def exported(lab_folder: Path) -> dict[str, Any]:
    """What is declared in the local workspace, as data: what a `state` answer holds."""
    return _ask(lab_folder, "GET", "/api/labs/state")


def load(lab_folder: Path, state: dict[str, Any]) -> None:
    """Have the local workspace hold exactly that, in each section that the state names. Raises LabsError, and then nothing was changed."""
    _ask(lab_folder, "PUT", "/api/labs/state", state)


def is_elsewhere() -> bool:
    """Whether the environment names a workspace, so that no local one is to be used."""
    return bool(os.environ.get("DATABRICKS_HOST") and os.environ.get("DATABRICKS_TOKEN"))


def folder_of(lab_folder: Path) -> Path:
    """Where a lab's workspace keeps its state and its log."""
    return lab_folder / "workspace"


def _config(folder: Path, token: str) -> Any:
    from databricks.sdk.core import Config
    from databricks.sdk.credentials_provider import CredentialsStrategy

    class Local(CredentialsStrategy):
        """The token, once the service is known to run: it may have stopped for want of use since the last call."""

        def auth_type(self) -> str:
            return "pat"

        def __call__(self, cfg: Config) -> Any:
            return self._headers

        def _headers(self) -> dict[str, str]:
            process.ensure(folder)
            return {"Authorization": f"Bearer {token}"}

    return Config(
        host=process.ensure(folder).address,
        token=token,
        auth_type="pat",
        credentials_strategy=Local(),
        retry_timeout_seconds=RETRIES,
        http_timeout_seconds=PATIENCE,
    )


def _ask(lab_folder: Path, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """One call as admin, without the SDK. Raises LabsError with the workspace's sentence if it refuses."""
    if is_elsewhere():
        raise LabsError(
            f"DATABRICKS_HOST names a workspace elsewhere, which has no {path}; unset it to use the local one."
        )
    service = process.ensure(folder_of(lab_folder))
    request = urllib.request.Request(
        f"{service.address}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {service.token}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        raise LabsError(str(json.load(error)["message"])) from None
