"""A place where a team's repository lives: git over HTTP, pull requests with reviews and check runs, and a gate before main.

It answers a small part of GitHub's REST interface, under the same paths and with the same fields, and is given requests as data (`Hub.__call__`), so that a notebook can
listen for it on loopback and a judge can keep it in his own process. The bare repository is real git, and so is its pre-receive hook, which is the gate: main moves only to a commit
that a merge here was granted for. Checks are the repository's own workflows, run by act.

The reviewer is a program: `review` holds a pull request to five rules and knows nothing else.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from labs_lib.cicd.workflows import FOLDER, REPOSITORY, Event, Run, only_workflows
from labs_lib.errors import LabsError

API, GIT, STATUS = f"/repos/{REPOSITORY}", "/git", "/status"
MAIN = "refs/heads/main"
REVIEWER = "reviewer-by-rules"
NOTHING = "0" * 40
SUBJECT = 72  # characters of a commit's first line
EMPTY_WORDS = {"wip", "fix", "fixes", "update", "changes", "test", "stuff", "."}
HOOK = """#!/bin/sh
# The gate. A push brings lines: what a ref was, what it is to be, its name.
while read old new ref; do
    case "$ref" in
    refs/heads/main)
        if ! git merge-base --is-ancestor "$old" "$new"; then
            why="main is never rewritten: what is pushed doesn't follow what is there"
        elif ! grep -qx "$new" granted; then
            why="main moves only by the merge of a pull request whose checks are green and which was approved"
        else
            continue
        fi ;;
    refs/tags/*)
        [ "$old" = 0000000000000000000000000000000000000000 ] && continue
        why="a tag stays where it is: $ref" ;;
    *) continue ;;
    esac
    echo "$why" | tee -a refused
    exit 1
done
"""

Check = Callable[[Event], list[Run]]


class Refused(Exception):
    """A request that is refused, with its status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass
class Pull:
    """A pull request. `merged` is the merge commit, "" before."""

    number: int
    title: str
    head: str
    state: str = "open"
    merged: str = ""


@dataclass
class Hub:
    """A repository below `folder`, and all that is known of it.

    `check` runs the workflows of a commit for an event; `status` tells how production does; `opened` is called with the first look at the checks of each pull request, which is when
    somebody else may have been quicker. Requests have to show `token`.
    """

    folder: Path
    token: str
    check: Check
    status: Callable[[], dict[str, Any]]
    opened: Callable[[Hub, Pull], object] = lambda *_: None
    pulls: list[Pull] = field(default_factory=list)
    runs: dict[tuple[str, str], list[Run]] = field(default_factory=dict)  # by commit and event

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.bare = self.folder / "retail.git"
        subprocess.run(
            ("git", "init", "-q", "--bare", "-b", "main", str(self.bare)), check=True, env=_environment()
        )
        (self.bare / "granted").write_text("")
        (self.bare / "refused").write_text("")
        hook = self.bare / "hooks" / "pre-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(HOOK)
        hook.chmod(0o755)

    def __call__(self, method: str, path: str, headers: Mapping[str, str], body: str) -> dict[str, Any]:
        """One request; bodies are in base64."""
        content = base64.b64decode(body)
        try:
            self._know(headers)
            if path.startswith(f"{GIT}/"):
                return _git_over_http(self.folder, method, path, headers, content)
            told = self._answer(method, urlsplit(path).path, _object(content))
            return _json(200 if method != "POST" else 201, told)
        except Refused as refusal:
            return _json(refusal.status, {"message": refusal.message})

    # What git knows

    def git(self, *arguments: str, given: str | None = None) -> str:
        """What git says of the bare repository. Raises LabsError."""
        ran = subprocess.run(
            ("git", *arguments),
            cwd=self.bare,
            input=given,
            capture_output=True,
            text=True,
            env=_environment(),
        )
        if ran.returncode:
            raise LabsError(f"git {arguments[0]}: {ran.stderr.strip() or ran.stdout.strip()}")
        return ran.stdout.strip()

    def has(self, ref: str) -> str:
        """The commit of a ref, "" if there is none."""
        try:
            return self.git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
        except LabsError:
            return ""

    def files(self, commit: str, below: str = "") -> dict[str, str]:
        """The files of a commit: {path: text}."""
        listed = self.git("ls-tree", "-r", "--name-only", "-z", commit, *([below] if below else []))
        show = {"cwd": self.bare, "check": True, "capture_output": True, "text": True, "env": _environment()}
        paths = [path for path in listed.split("\0") if path]
        return {path: subprocess.run(("git", "show", f"{commit}:{path}"), **show).stdout for path in paths}  # type: ignore[call-overload]

    def begin(self, files: Mapping[str, str], author: str) -> str:
        """The first commit on main. Returns it."""
        return self._move(self._commit(self._tree(files), [], "The project", author))

    def refused(self) -> list[str]:
        """What the gate said to pushes that it refused."""
        return (self.bare / "refused").read_text().splitlines()

    def land(self, files: Mapping[str, str], title: str, author: str) -> str:
        """A colleague's pull request, whose checks were green elsewhere, is merged: main goes on. Returns its commit."""
        main = self.has(MAIN)
        change = self._commit(self._tree({**self.files(main), **files}), [main], title, author)
        return self._move(self._commit(f"{change}^{{tree}}", [main, change], f"Merge: {title}", "hub"))

    def _tree(self, files: Mapping[str, str]) -> str:
        index = self.folder / "index"
        index.unlink(missing_ok=True)
        environment = {**_environment(), "GIT_INDEX_FILE": str(index)}
        for path, text in files.items():
            blob = self.git("hash-object", "-w", "--stdin", given=text)
            added = ("git", "update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
            subprocess.run(added, cwd=self.bare, check=True, env=environment)
        written = ("git", "write-tree")
        return subprocess.run(
            written, cwd=self.bare, check=True, env=environment, capture_output=True, text=True
        ).stdout.strip()

    def _commit(self, tree: str, parents: list[str], message: str, author: str) -> str:
        who = {"GIT_AUTHOR_NAME": author, "GIT_AUTHOR_EMAIL": f"{author}@corner.shop", "GIT_COMMITTER_NAME": author, "GIT_COMMITTER_EMAIL": f"{author}@corner.shop"}  # fmt: skip
        command = ["git", "commit-tree", self.git("rev-parse", tree), "-m", message]
        for parent in parents:
            command += ["-p", parent]
        ran = subprocess.run(
            command, cwd=self.bare, check=True, env={**_environment(), **who}, capture_output=True, text=True
        )
        return ran.stdout.strip()

    def _move(self, commit: str) -> str:
        """Push a commit to main, through the gate like everybody, with leave for it."""
        with (self.bare / "granted").open("a") as granted:
            granted.write(f"{commit}\n")
        if self.has(MAIN):
            self.git("push", "-q", ".", f"{commit}:{MAIN}")
        else:
            self.git("update-ref", MAIN, commit)
        return commit

    # What is asked

    def _know(self, headers: Mapping[str, str]) -> None:
        kind, _, shown = headers.get("authorization", "").partition(" ")
        if kind.lower() == "basic":
            try:
                shown = base64.b64decode(shown).decode().partition(":")[2]
            except (binascii.Error, ValueError):
                shown = ""
        if shown != self.token:
            raise Refused(401, "Who asks? Send the hub's token: Authorization: Bearer <token>.")

    def _answer(self, method: str, path: str, body: dict[str, Any]) -> Any:
        if path == f"{STATUS}/prod" and method == "GET":
            return self.status()
        match method, path.removeprefix(API).strip("/").split("/"):
            case "POST", ["pulls"]:
                return self._shown(self._open(body))
            case "GET", ["pulls"]:
                return [self._shown(pull) for pull in self.pulls]
            case "GET", ["pulls", number]:
                return self._shown(self._pull(number))
            case "PATCH", ["pulls", number]:
                pull = self._pull(number)
                if body.get("state") == "closed" and not pull.merged:
                    pull.state = "closed"
                return self._shown(pull)
            case "GET", ["pulls", number, "reviews"]:
                pull = self._pull(number)
                wrong = review(self, pull)
                verdict = "CHANGES_REQUESTED" if wrong else "APPROVED"
                return [{"user": {"login": REVIEWER}, "state": verdict, "body": "; ".join(wrong), "commit_id": self.has(pull.head)}]  # fmt: skip
            case "PUT", ["pulls", number, "update-branch"]:
                return {"message": "Updated", "sha": self._update(self._pull(number))}
            case "PUT", ["pulls", number, "merge"]:
                return {"merged": True, "sha": self._merge(self._pull(number), body)}
            case "GET", ["commits", commit, "check-runs"]:
                return self._check_runs(commit)
        raise Refused(404, f"There is no {method} {path[:200]} here.")

    def _pull(self, number: str) -> Pull:
        if not number.isdecimal() or not 1 <= int(number) <= len(self.pulls):
            raise Refused(404, f"There is no pull request {number[:20]}.")
        return self.pulls[int(number) - 1]

    def _open(self, body: Mapping[str, Any]) -> Pull:
        head, base, title = (str(body.get(name) or "") for name in ("head", "base", "title"))
        if base != "main" or not title:
            raise Refused(422, "A pull request has a title, and its base is main here.")
        if not re.fullmatch(r"[\w./-]{1,100}", head) or not self.has(f"refs/heads/{head}"):
            raise Refused(422, f"There is no branch {head[:100]!r}; push it first.")
        if head == "main" or self.git("rev-list", "--count", f"{MAIN}..refs/heads/{head}") == "0":
            raise Refused(422, f"There is no commit between main and {head}.")
        if any(pull.head == f"refs/heads/{head}" and pull.state == "open" for pull in self.pulls):
            raise Refused(422, f"There is a pull request of {head} already.")
        self.pulls.append(Pull(len(self.pulls) + 1, title, f"refs/heads/{head}"))
        return self.pulls[-1]

    def _shown(self, pull: Pull) -> dict[str, Any]:
        head = self.has(pull.head)
        told = {"number": pull.number, "title": pull.title, "state": pull.state, "merged": bool(pull.merged)}
        told |= {"merge_commit_sha": pull.merged or None, "base": {"ref": "main", "sha": self.has(MAIN)}}
        told["head"] = {"ref": pull.head.removeprefix("refs/heads/"), "sha": head}
        told["mergeable_state"] = "clean" if self._follows(head) else "behind"
        return told

    def _follows(self, head: str) -> bool:
        return bool(head) and self.git("rev-list", "--count", f"{head}..{MAIN}") == "0"

    def _check_runs(self, commit: str) -> dict[str, Any]:
        if not re.fullmatch(r"[0-9a-f]{40}", commit) or not self.has(commit):
            raise Refused(404, f"There is no commit {commit[:40]!r}; name it by its forty digits.")
        pull = next(
            (pull for pull in self.pulls if self.has(pull.head) == commit and pull.state == "open"), None
        )
        if pull:
            first = (commit, "pull_request") not in self.runs
            self._checked(commit, pull)
            if first:
                self.opened(self, pull)
        found = []
        for (of, event), runs in self.runs.items():
            for run in runs if of == commit else ():
                for job, results in (run.results or {Path(run.path).stem: [run.failure]}).items():
                    good = all(result == "success" for result in results)
                    found.append({"name": f"{job} ({event})", "status": "completed", "conclusion": "success" if good else "failure", "head_sha": commit})  # fmt: skip
        return {"total_count": len(found), "check_runs": found}

    def _checked(self, commit: str, pull: Pull) -> list[Run]:
        key = (commit, "pull_request")
        if key not in self.runs:
            head = pull.head.removeprefix("refs/heads/")
            self.runs[key] = self.check(
                Event("pull_request", commit, head=head, base="main", number=pull.number)
            )
        return self.runs[key]

    def _update(self, pull: Pull) -> str:
        """Merge main into the branch."""
        head, main = self.has(pull.head), self.has(MAIN)
        if self._follows(head):
            return head
        try:
            tree = self.git("merge-tree", "--write-tree", head, main).splitlines()[0]
        except LabsError:
            raise Refused(422, "The branch and main change the same lines; merge them by hand.") from None
        merged = self._commit(
            tree, [head, main], f"Merge main into {pull.head.removeprefix('refs/heads/')}", "hub"
        )
        self.git("update-ref", pull.head, merged)
        return merged

    def _merge(self, pull: Pull, body: Mapping[str, Any]) -> str:
        head = self.has(pull.head)
        if pull.state != "open":
            raise Refused(405, f"The pull request {pull.number} is {pull.state}.")
        if body.get("merge_method", "merge") != "merge":
            raise Refused(
                405,
                "This repository merges with a merge commit, so that one revert undoes all of a pull request.",
            )
        if body.get("sha", head) != head:
            raise Refused(409, "The branch has moved on since that commit was looked at.")
        if not self._follows(head):
            raise Refused(
                409, "The branch is behind main; update it, and let the checks run on what is to be merged."
            )
        runs = self.runs.get((head, "pull_request"))
        if runs is None:
            raise Refused(405, "The checks of this commit haven't run.")
        if not runs or not all(run.green for run in runs):
            raise Refused(405, "The checks of this commit are red, or there are none.")
        if wrong := review(self, pull):
            raise Refused(405, f"The reviewer asks for changes: {'; '.join(wrong)}.")
        name = pull.head.removeprefix("refs/heads/")
        message = f"Merge pull request #{pull.number} from {name}\n\n{pull.title}"
        pull.merged = self._move(self._commit(f"{head}^{{tree}}", [self.has(MAIN), head], message, "hub"))
        pull.state = "closed"
        self.runs[pull.merged, "push"] = self.check(Event("push", pull.merged, MAIN))
        return pull.merged


def review(hub: Hub, pull: Pull) -> list[str]:
    """What the reviewer by rules asks to change."""
    head = hub.has(pull.head)
    log = hub.git("log", "--no-merges", "--format=%s", f"{MAIN}..{head}").splitlines()
    changed = hub.git("diff", "--name-only", f"{MAIN}...{head}").splitlines()
    wrong = []
    if len(pull.title.split()) < 3:
        wrong.append("a title has at least three words")
    for subject in log:
        if len(subject) > SUBJECT or subject.lower().strip(" .!") in EMPTY_WORDS:
            wrong.append(
                f"a commit's first line says what it does, in at most {SUBJECT} characters: {subject[:80]!r}"
            )
    if any(path.startswith("src/") for path in changed) and not any(
        path.startswith("tests/") for path in changed
    ):
        wrong.append("a change of src/ comes with one of tests/")
    if any(path.startswith(FOLDER) for path in changed):
        wrong.append("the workflow is changed by itself, and by people who may")
    if re.search(r"dapi[0-9a-f]{20}", hub.git("diff", f"{MAIN}...{head}")):
        wrong.append("a token stands in it")
    return wrong


def workflows_of(hub: Hub, commit: str) -> dict[str, str]:
    """A commit's workflows."""
    return only_workflows(hub.files(commit, FOLDER))


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content or b"{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Refused(400, "The body is no JSON object.")
    return found


def _json(status: int, told: Any) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="hub"'
    return {
        "status": status,
        "headers": headers,
        "body": base64.b64encode(json.dumps(told).encode()).decode(),
    }


def _environment() -> dict[str, str]:
    """git without this user's configuration."""
    path = os.environ.get("PATH", os.defpath)
    return {
        "PATH": path,
        "HOME": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "LANG": "C.UTF-8",
    }


def _git_over_http(
    root: Path, method: str, path: str, headers: Mapping[str, str], content: bytes
) -> dict[str, Any]:
    """A request of git's own, answered by `git http-backend`."""
    parts = urlsplit(path)
    environment = _environment() | {
        "GIT_PROJECT_ROOT": str(root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": parts.path.removeprefix(GIT),
        "QUERY_STRING": parts.query,
        "REQUEST_METHOD": method,
        "CONTENT_TYPE": headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(content)),
        "HTTP_CONTENT_ENCODING": headers.get("content-encoding", ""),
        "GIT_PROTOCOL": headers.get("git-protocol", ""),
        "REMOTE_USER": "team",
        "REMOTE_ADDR": "127.0.0.1",
    }
    ran = subprocess.run(("git", "http-backend"), input=content, capture_output=True, env=environment)
    head, _, body = ran.stdout.partition(b"\r\n\r\n")
    told = dict(line.split(": ", 1) for line in head.decode("latin-1").splitlines() if ": " in line)
    status = int(told.pop("Status", "200").split()[0])
    return {"status": status, "headers": told, "body": base64.b64encode(body).decode()}
