"""A workspace's REST interface by the standard library alone: the SDK takes longer to import than a command of ours may take."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from labs_lib.errors import LabsError

PATIENCE = 30  # seconds


class Refused(LabsError):
    """The workspace's sentence; `code` is its error code, such as RESOURCE_DOES_NOT_EXIST."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code

    @property
    def is_gone(self) -> bool:
        """Whether what was asked for isn't there."""
        return self.code in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND")


@dataclass(frozen=True)
class Workspace:
    """A workspace's address, and the token of who asks."""

    host: str
    token: str

    def get(self, path: str, /, **query: Any) -> dict[str, Any]:
        """What is there. Raises Refused."""
        return self.ask("GET", f"{path}?{urlencode(query)}" if query else path)

    def post(self, path: str, /, **body: Any) -> dict[str, Any]:
        """Have something done. Raises Refused."""
        return self.ask("POST", path, body)

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A request's answer. Raises Refused with the workspace's sentence, or with one that says why there is none."""
        request = urllib.request.Request(
            f"{self.host.rstrip('/')}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        # Loopback is behind no proxy, whatever the environment says of others.
        local = (
            [urllib.request.ProxyHandler({})]
            if "//127.0.0.1" in self.host or "//localhost" in self.host
            else []
        )
        try:
            with urllib.request.build_opener(*local).open(request, timeout=PATIENCE) as answer:
                found = json.load(answer)
        except urllib.error.HTTPError as error:
            raise _refused(error) from None
        except (OSError, ValueError) as error:
            raise Refused(f"{self.host} gives no answer: {getattr(error, 'reason', error)}.") from None
        return found if isinstance(found, dict) else {}


def _refused(error: urllib.error.HTTPError) -> Refused:
    try:
        told = json.load(error)
        return Refused(str(told["message"]), str(told.get("error_code", "")))
    except (ValueError, KeyError, TypeError):
        return Refused(f"The workspace answers {error.code} {error.reason}.")


def of_environment(environment: Mapping[str, str] = os.environ) -> Workspace | None:
    """The workspace that DATABRICKS_HOST and DATABRICKS_TOKEN name, if they do."""
    host, token = environment.get("DATABRICKS_HOST"), environment.get("DATABRICKS_TOKEN")
    return Workspace(host, token) if host and token else None
