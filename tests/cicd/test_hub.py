"""The gate before main: what it lets through, and what it refuses whoever asks."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from labs_lib.cicd.hub import API, MAIN, Hub
from labs_lib.cicd.workflows import Event, Run

FILES = {"src/a.py": "A = 1\n", "tests/test_a.py": "def test_a(): ...\n", "README.md": "retail\n"}
WHO = {
    f"GIT_{role}_{what}": "ana@corner.shop" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
}


class Team:
    """A hub, and a clone of its repository."""

    def __init__(self, folder: Path) -> None:
        self.green = True
        self.events: list[Event] = []
        self.hub = Hub(folder / "hub", "token", self._check, lambda: {"status": "healthy"})
        self.first = self.hub.begin(FILES, "ana")
        self.clone = folder / "clone"
        self.git("clone", "-q", str(self.hub.bare), str(self.clone), at=folder)

    def _check(self, event: Event) -> list[Run]:
        self.events.append(event)
        return [Run(".github/workflows/ci.yml", {"test": ["success" if self.green else "failure"]})]

    def git(self, *arguments: str, at: Path | None = None) -> str:
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/dev/null", **WHO}
        ran = subprocess.run(
            ("git", *arguments), cwd=at or self.clone, capture_output=True, text=True, env=environment
        )
        if ran.returncode:
            raise AssertionError(ran.stderr)
        return ran.stdout.strip()

    def branch(self, name: str = "prices", subject: str = "Raise the price of milk", **files: str) -> str:
        """Push a branch with these files, and return its commit."""
        self.git("fetch", "-q")
        self.git("switch", "-q", "-C", name, "origin/main")
        for path, text in (
            files or {"src/a.py": "A = 2\n", "tests/test_a.py": "def test_a(): assert True\n"}
        ).items():
            (self.clone / path).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", subject)
        self.git("push", "-q", "origin", name)
        return self.git("rev-parse", "HEAD")

    def ask(self, method: str, path: str, token: str = "token", **body: Any) -> tuple[int, Any]:
        """The status and the answer to a request."""
        content = base64.b64encode(json.dumps(body).encode() if body else b"").decode()
        told = self.hub(method, f"{API}{path}", {"authorization": f"Bearer {token}"}, content)
        return told["status"], json.loads(base64.b64decode(told["body"]))

    def pull(self, head: str = "prices", title: str = "Raise the price") -> int:
        """The number of a new pull request."""
        status, told = self.ask("POST", "/pulls", head=head, base="main", title=title)
        assert status == 201, told
        return int(told["number"])

    def merge(self, number: int, **body: Any) -> tuple[int, Any]:
        return self.ask("PUT", f"/pulls/{number}/merge", **(body or {"merge_method": "merge"}))


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path)


def test_a_checked_and_approved_pull_request_is_merged_and_then_main_is_checked(team: Team) -> None:
    head = team.branch()
    number = team.pull()
    status, told = team.ask("GET", f"/commits/{head}/check-runs")
    assert [(run["conclusion"], run["head_sha"]) for run in told["check_runs"]] == [("success", head)]
    status, told = team.merge(number, sha=head)
    assert (status, told["merged"]) == (200, True)
    assert team.hub.has(MAIN) == told["sha"]
    assert team.hub.git("rev-list", "--parents", "-n1", told["sha"]).split()[1:] == [team.first, head]
    assert [(event.name, event.commit) for event in team.events] == [
        ("pull_request", head),
        ("push", told["sha"]),
    ]


@pytest.mark.parametrize(
    "push", [("HEAD:main",), ("--force", "HEAD:main"), ("--delete", "main"), ("--force", "HEAD~2:main")]
)
def test_main_is_nobodys_to_push_to(team: Team, push: tuple[str, ...]) -> None:
    team.hub.land({"README.md": "shop\n"}, "Another name", "ben")
    team.git("pull", "-q")
    before = team.hub.has(MAIN)
    (team.clone / "src/a.py").write_text("A = 3\n")
    team.git("commit", "-qam", "Straight to main")
    with pytest.raises(AssertionError):
        team.git("push", "-q", "origin", *push)
    assert team.hub.has(MAIN) == before
    assert len(team.hub.refused()) == 1


def test_a_commit_that_was_merged_before_brings_main_not_back(team: Team) -> None:
    team.hub.land({"README.md": "shop\n"}, "Another name", "ben")
    merged = team.hub.land({"README.md": "market\n"}, "Yet another name", "ben")
    team.git("fetch", "-q")
    with pytest.raises(AssertionError, match="never rewritten"):
        team.git("push", "-q", "--force", "origin", "origin/main~1:main")
    assert team.hub.has(MAIN) == merged


def test_a_tag_stays_where_it_is(team: Team) -> None:
    team.git("tag", "v1", team.first)
    team.git("push", "-q", "origin", "v1")
    team.branch()
    team.git("tag", "-f", "v1", "HEAD")
    with pytest.raises(AssertionError, match="stays where it is"):
        team.git("push", "-q", "--force", "origin", "v1")
    with pytest.raises(AssertionError, match="stays where it is"):
        team.git("push", "-q", "--delete", "origin", "v1")


def test_what_is_red_or_unchecked_is_not_merged(team: Team) -> None:
    team.green = False
    head = team.branch()
    number = team.pull()
    assert team.merge(number) == (405, {"message": "The checks of this commit haven't run."})
    team.ask("GET", f"/commits/{head}/check-runs")
    status, told = team.merge(number)
    assert (status, "red" in told["message"]) == (405, True)
    assert team.hub.has(MAIN) == team.first


def test_a_commit_pushed_after_the_checks_is_not_merged_with_them(team: Team) -> None:
    head = team.branch()
    number = team.pull()
    team.ask("GET", f"/commits/{head}/check-runs")
    (team.clone / "src/a.py").write_text("A = 666\n")
    team.git("commit", "-qam", "Something else that nobody saw")
    team.git("push", "-q", "origin", "prices")
    assert team.merge(number, sha=head)[0] == 409
    assert team.merge(number) == (405, {"message": "The checks of this commit haven't run."})


def test_a_branch_behind_main_is_updated_and_checked_again(team: Team) -> None:
    head = team.branch()
    number = team.pull()
    team.ask("GET", f"/commits/{head}/check-runs")
    team.hub.land({"README.md": "shop\n"}, "Another name", "ben")
    assert team.ask("GET", f"/pulls/{number}")[1]["mergeable_state"] == "behind"
    assert team.merge(number)[0] == 409
    _, told = team.ask("PUT", f"/pulls/{number}/update-branch")
    assert team.merge(number)[0] == 405
    team.ask("GET", f"/commits/{told['sha']}/check-runs")
    status, merged = team.merge(number, sha=told["sha"])
    assert status == 200
    assert team.hub.files(merged["sha"]) == {
        **FILES,
        "README.md": "shop\n",
        "src/a.py": "A = 2\n",
        "tests/test_a.py": "def test_a(): assert True\n",
    }


@pytest.mark.parametrize(
    ("title", "subject", "files", "wrong"),
    [
        ("Raise the price", "Raise the price of milk", {}, ""),
        ("Prices", "Raise the price of milk", {}, "three words"),
        ("Raise the price", "wip", {}, "first line"),
        ("Raise the price", "x" * 73, {}, "first line"),
        ("Raise the price", "Raise the price of milk", {"src/a.py": "A = 2\n"}, "comes with one of tests"),
        (
            "Raise the price",
            "Say who we are",
            {"README.md": "dapi0123456789abcdef0123456789abcdef\n"},
            "a token",
        ),
    ],
)
def test_the_reviewer_has_rules(
    team: Team, title: str, subject: str, files: dict[str, str], wrong: str
) -> None:
    head = team.branch("prices", subject, **files)
    number = team.pull(title=title)
    team.ask("GET", f"/commits/{head}/check-runs")
    [told] = team.ask("GET", f"/pulls/{number}/reviews")[1]
    assert told["state"] == ("CHANGES_REQUESTED" if wrong else "APPROVED")
    assert wrong in told["body"]
    assert team.merge(number)[0] == (405 if wrong else 200)


def test_nobody_is_answered_without_the_token(team: Team) -> None:
    assert team.ask("GET", "/pulls", token="guessed")[0] == 401
    assert team.hub("GET", "/git/retail.git/info/refs?service=git-upload-pack", {}, "")["status"] == 401


def test_what_makes_no_sense_is_refused_with_a_sentence(team: Team) -> None:
    assert team.ask("POST", "/pulls", head="nowhere", base="main", title="A long way")[0] == 422
    assert team.ask("POST", "/pulls", head="main", base="main", title="To itself again")[0] == 422
    assert team.ask("GET", "/pulls/7")[0] == 404
    assert team.ask("GET", "/commits/main/check-runs")[0] == 404
    assert team.ask("GET", "/issues")[0] == 404
    team.branch()
    number = team.pull()
    assert team.ask("POST", "/pulls", head="prices", base="main", title="The same again")[0] == 422
    assert team.merge(number, merge_method="squash")[0] == 405
    team.ask("PATCH", f"/pulls/{number}", state="closed")
    assert team.merge(number) == (405, {"message": "The pull request 1 is closed."})
