"""Asking a hub: the calls of GitHub's REST interface that a delivery needs. Standard library alone, so that a script starts at once."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

REPOSITORY = "corner-shop/retail"
PATIENCE = 100  # seconds: a merge is answered when what it started has run


class Refusal(Exception):
    """The hub's own sentence, with its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status, self.message = status, message


@dataclass(frozen=True)
class HubClient:
    """A hub at an address, asked with a token. Every method raises Refusal if the hub refuses."""

    address: str
    token: str

    @property
    def remote(self) -> str:
        """The repository's address for git, with the token in it."""
        return f"{self.address.replace('://', f'://team:{self.token}@')}/git/retail.git"

    def open_pull_request(self, head: str, title: str, base: str = "main") -> dict[str, Any]:
        """Ask for a branch to be merged. Its `number` names it from then on."""
        return self._ask("POST", "/pulls", {"head": head, "title": title, "base": base})

    def pull_request(self, number: int) -> dict[str, Any]:
        """What is known of it: `state`, `merged`, `head.sha`, `mergeable_state` (clean, or behind main)."""
        return self._ask("GET", f"/pulls/{number}")

    def check_runs(self, commit: str) -> list[dict[str, Any]]:
        """The jobs that ran for a commit, each with its `conclusion`: success or failure. The first question waits for them."""
        return list(self._ask("GET", f"/commits/{commit}/check-runs")["check_runs"])

    def reviews(self, number: int) -> list[dict[str, Any]]:
        """What reviewers say: `state` (APPROVED or CHANGES_REQUESTED) and `body`, of `commit_id`."""
        return list(self._ask("GET", f"/pulls/{number}/reviews"))

    def update_branch(self, number: int) -> dict[str, Any]:
        """Merge main into the branch; the branch's new commit is in the answer's `sha`."""
        return self._ask("PUT", f"/pulls/{number}/update-branch")

    def merge(self, number: int, sha: str) -> dict[str, Any]:
        """Merge it if `sha` is still its head. Answered, with the merge commit as `sha`, when the workflow has run on main."""
        return self._ask("PUT", f"/pulls/{number}/merge", {"sha": sha, "merge_method": "merge"})

    def close(self, number: int) -> dict[str, Any]:
        """Close it without merging."""
        return self._ask("PATCH", f"/pulls/{number}", {"state": "closed"})

    def production(self) -> dict[str, Any]:
        """How production does: `status` is healthy or degraded, `commit` is what runs there, `reason` is for people."""
        return self._ask("GET", "/status/prod", at="")

    def _ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, at: str = f"/repos/{REPOSITORY}"
    ) -> Any:
        request = urllib.request.Request(
            f"{self.address}{at}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        local = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with local.open(request, timeout=PATIENCE) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            said = error.read()
            try:
                raise Refusal(error.code, json.loads(said)["message"]) from None
            except (ValueError, KeyError, TypeError):
                raise Refusal(error.code, said.decode(errors="replace")[:200]) from None
