"""GitHub Actions workflows on this machine: what is to be said of a file before it runs, whether an event starts it, and what `act` makes of it.

act is not GitHub. It runs the jobs for real, and takes no notice of `on.push.branches` and the like, of the runner's label, of environments and approvals. So here an
event is held against `on:` first, labels are held against a list, and a run is judged by the results of its jobs and never by act's exit code alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import yaml

from labs_lib.cicd.shell import Ran
from labs_lib.errors import LabsError

FOLDER = ".github/workflows/"
REPOSITORY = "corner-shop/retail"
ENVIRONMENT = "prod"
SECRET, ADDRESS = "DATABRICKS_TOKEN", "DATABRICKS_HOST"
RUNNERS = ("ubuntu-latest", "ubuntu-24.04", "ubuntu-22.04")
SECONDS = (
    100  # for a run, which takes two on a machine that has nothing else to do; a judge has 120 for a step
)
# Actions that act would fetch from GitHub. Each has a stand-in here, which says so; act itself does what actions/checkout does.
STAND_INS = {
    "actions/setup-python": "python --version",
    "actions/cache": "echo 'A stand-in for actions/cache: nothing is kept.'",
    "actions/upload-artifact": "echo 'A stand-in for actions/upload-artifact: nothing is kept.'",
}
ACTIONS = ("actions/checkout", *STAND_INS)
# Tags of these actions as commits.
PINNED = {
    "actions/checkout": ("08c6903cd8c0fde910a37f88322edcfb5dd907a8", "v5.0.0"),
    "actions/setup-python": ("e797f83bcb11b83ae66e0230d6156d7c80228e7c", "v6.0.0"),
}
_USES = re.compile(r"^\s*(?:-\s+)?uses:\s*['\"]?([\w.-]+/[\w.-]+)(?:/[\w./-]+)?@([\w./-]+)", re.MULTILINE)


class Shop(Protocol):
    """Where commands run: `labs_lib.cicd.local.here()` in a notebook, a box in grading."""

    def lay(self, folder: str, files: Mapping[str, str], executable: Sequence[str] = ()) -> None:
        """Write files below a folder."""
        ...

    def run(
        self,
        command: Sequence[str],
        folder: str = ".",
        environment: Mapping[str, str] | None = None,
        seconds: float = 60,
    ) -> Ran:
        """Run a command in a folder."""
        ...


@dataclass(frozen=True)
class Event:
    """What happened in the repository. `ref` is what was pushed (refs/heads/... or refs/tags/...); a pull request has `head` and `base` instead."""

    name: str
    commit: str
    ref: str = ""
    head: str = ""
    base: str = ""
    number: int = 1
    fork: bool = False

    @property
    def branch(self) -> str:
        """The branch that is checked out, "" for a tag."""
        if self.name == "pull_request":
            return f"pull-{self.number}"
        return self.ref.removeprefix("refs/heads/") if self.ref.startswith("refs/heads/") else ""

    def payload(self) -> dict[str, Any]:
        """The event as GitHub tells it, as far as workflows read it."""
        owner, name = REPOSITORY.split("/")
        told: dict[str, Any] = {
            "repository": {
                "full_name": REPOSITORY,
                "name": name,
                "owner": {"login": owner},
                "default_branch": "main",
            }
        }
        if self.name == "pull_request":
            source = "a-stranger/retail" if self.fork else REPOSITORY
            head = {"ref": self.head, "sha": self.commit, "repo": {"full_name": source, "fork": self.fork}}
            pull = {"number": self.number, "head": head, "base": {"ref": self.base}, "draft": False}
            return told | {"action": "opened", "number": self.number, "pull_request": pull}
        return told | {"ref": self.ref, "after": self.commit, "inputs": {}}


@dataclass(frozen=True)
class Run:
    """A workflow's run. `results` are by job, one for each combination of a matrix; a job that was skipped has none."""

    path: str
    results: dict[str, list[str]]
    log: str = ""
    failure: str = ""
    jobs: tuple[str, ...] = field(default=())

    @property
    def green(self) -> bool:
        """Whether something ran, and nothing of it failed."""
        found = [result for results in self.results.values() for result in results]
        return bool(found) and not self.failure and all(result == "success" for result in found)


def read(text: str) -> dict[str, Any]:
    """A workflow as data, with `on` under its own name. Raises LabsError, which names the line."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise LabsError(f"{where}this is no YAML ({getattr(error, 'problem', None) or error})") from None
    except (ValueError, RecursionError) as error:
        raise LabsError(f"this is no YAML ({error})") from None
    if not isinstance(found, dict):
        raise LabsError("this is no workflow: at its top there have to be `on:` and `jobs:`")
    if True in found:  # YAML 1.1 reads `on` as the truth value
        found["on"] = found.pop(True)
    return found


def only_workflows(files: Mapping[str, str]) -> dict[str, str]:
    """Those of the files that GitHub would take for workflows."""
    return {
        path: text
        for path, text in files.items()
        if path.startswith(FOLDER) and "/" not in path[len(FOLDER) :] and path.endswith((".yml", ".yaml"))
    }


# Whether an event starts a workflow


def triggered(workflow: Mapping[str, Any], event: Event, changed: Sequence[str] = ()) -> bool:
    """Whether GitHub would start the workflow: what `on:` says of the event, with its branches, tags, paths and types."""
    on = workflow.get("on")
    if isinstance(on, str):
        on = {on: None}
    elif isinstance(on, list):
        on = dict.fromkeys(map(str, on))
    if not isinstance(on, dict) or event.name not in on:
        return False
    rules = on[event.name] if isinstance(on[event.name], dict) else {}
    if event.name == "pull_request":
        types = rules.get("types") or ["opened", "synchronize", "reopened"]
        return "opened" in types and _passes(rules, "branches", event.base) and _touched(rules, changed)
    if event.name != "push":
        return True
    kinds = {kind for kind in ("branches", "tags") if kind in rules or f"{kind}-ignore" in rules}
    kind = "tags" if event.ref.startswith("refs/tags/") else "branches"
    if kinds and kind not in kinds:
        return False
    name = event.ref.split("/", 2)[-1]
    return _passes(rules, kind, name) and (kind == "tags" or _touched(rules, changed))


def _passes(rules: Mapping[str, Any], kind: str, name: str) -> bool:
    if kind in rules:
        return _chosen(_listed(rules[kind]), name)
    return not _chosen(_listed(rules.get(f"{kind}-ignore")), name)


def _touched(rules: Mapping[str, Any], changed: Sequence[str]) -> bool:
    if "paths" in rules:
        return any(_chosen(_listed(rules["paths"]), path) for path in changed)
    ignored = _listed(rules.get("paths-ignore"))
    return not ignored or not all(_chosen(ignored, path) for path in changed)


def _listed(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [] if value is None else [str(value)]


def _chosen(patterns: Iterable[str], name: str) -> bool:
    """Whether the last pattern that fits is one without `!`."""
    found = False
    for pattern in patterns:
        wanted = not pattern.startswith("!")
        if _pattern(pattern.removeprefix("!")).fullmatch(name):
            found = wanted
    return found


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    """A pattern of GitHub's: `*` within a part of a path, `**` across them, `?` and `+` after a character, `[...]`."""
    parts = re.findall(r"\*\*/?|\*|\?|\+|\[[^\]]*\]|\\.|.", pattern)
    known = {"**": ".*", "**/": "(?:.*/)?", "*": "[^/]*", "?": "?", "+": "+"}
    try:
        return re.compile(
            "".join(known.get(part) or (part if part[0] in "[\\" else re.escape(part)) for part in parts)
        )
    except re.error:
        return re.compile(re.escape(pattern))


# What is to be said of a file before it runs


def linted(shop: Shop, folder: str, files: Mapping[str, str]) -> list[str]:
    """What the published schema, actionlint and zizmor say of the workflows below a folder: sentences, each with its file and line."""
    found = [sentence for path, text in files.items() for sentence in by_schema(path, text)]
    paths = sorted(files)
    ran = shop.run(
        ["actionlint", "-format", "{{json .}}", "-shellcheck=", "-pyflakes=", "-no-color", *paths], folder
    )
    for each in _json(ran, "actionlint"):
        said = str(each["message"]).partition(". available labels")[0]
        found.append(f"{each['filepath']}, line {each['line']}: {said} (actionlint)")
    ran = shop.run(["zizmor", "--offline", "--no-config", "--no-progress", "--quiet", "--format", "json", *paths], folder)  # fmt: skip
    for each in _json(ran, "zizmor"):
        place = next(spot for spot in each["locations"] if spot["symbolic"]["kind"] == "Primary")
        where = place["concrete"]["location"]["start_point"]["row"] + 1
        path = place["symbolic"]["key"].get("Local", {}).get("verbatim_path", paths[0])
        said = f"{each['desc']}, {place['symbolic']['annotation']}"
        found.append(f"{path}, line {where}: {said} (zizmor, {each['ident']})")
    return sorted(found, key=lambda said: ([int(n) for n in re.findall(r"line (\d+)", said)][:1], said))


def by_schema(path: str, text: str) -> list[str]:
    """What the schema that SchemaStore publishes for workflows says of a file."""
    from jsonschema import Draft7Validator
    from jsonschema.exceptions import best_match

    try:
        workflow = read(text)
    except LabsError as error:
        return [f"{path}, {error}"]
    wrong = best_match(Draft7Validator(_schema()).iter_errors(workflow))
    if wrong is None:
        return []
    line = _line(text, list(wrong.absolute_path))
    where = ".".join(map(str, wrong.absolute_path)) or "the top"
    return [f"{path}, line {line}: at {where}: {wrong.message[:200]} (schema)"]


@cache
def _schema() -> dict[str, Any]:
    import check_jsonschema

    vendored = Path(check_jsonschema.__file__).parent / "builtin_schemas" / "vendor" / "github-workflows.json"
    found: dict[str, Any] = json.loads(vendored.read_text(encoding="utf-8"))
    return found


def _json(ran: Ran, program: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(ran.out or "[]")
    except ValueError:
        found = None
    if not isinstance(found, list):
        raise LabsError(
            f"{program} gave no answer: {ran.said}. Is the extra `cicd` installed (`make setup`)?"
        )
    return found


def _line(text: str, path: Sequence[str | int]) -> int:
    """The line of a place in YAML, or of what is nearest above it."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    line = 1
    for part in path:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == str(part)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


def uses(text: str) -> list[tuple[str, str]]:
    """The actions of others that a workflow uses, each with its ref."""
    return _USES.findall(text)


def jobs_of(workflow: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The jobs by name."""
    jobs = workflow.get("jobs")
    return (
        {str(name): job for name, job in jobs.items() if isinstance(job, dict)}
        if isinstance(jobs, dict)
        else {}
    )


def strange(path: str, text: str) -> Iterator[str]:
    """What act would pass over in silence: runners that aren't here, services, actions that have no stand-in."""
    for action, _ in uses(text):
        if action not in ACTIONS:
            yield f"{path}: this machine has no stand-in for {action}; it has {', '.join(ACTIONS)}"
    for name, job in jobs_of(read(text)).items():
        label = job.get("runs-on")
        if label not in RUNNERS and "uses" not in job:
            yield f"{path}: the job {name} runs on {label!r}, and here is {', '.join(RUNNERS)}"
        if "services" in job or "container" in job:
            yield f"{path}: the job {name} asks for a container, of which there is none here"


# Running it


def run(
    shop: Shop,
    origin: str,
    files: Mapping[str, str],
    event: Event,
    *,
    name: str,
    secret: str,
    address: str,
    changed: Sequence[str] = (),
) -> list[Run]:
    """Have act run each of a commit's workflows that the event starts, in a fresh clone of `origin` and with an empty home.

    Raises LabsError for one that takes too long.

    `files` are the workflows of that commit, `name` is a folder that isn't there yet, `secret` and `address` are what jobs get as DATABRICKS_TOKEN and DATABRICKS_HOST.
    """
    found = []
    for path, text in sorted(only_workflows(files).items()):
        try:
            workflow = read(text)
        except LabsError as error:
            found.append(Run(path, {}, failure=str(error)))
            continue
        if triggered(workflow, event, changed):
            folder = f"{name}-{len(found)}"
            found.append(
                _act(shop, origin, path, text, tuple(jobs_of(workflow)), event, folder, secret, address)
            )
    return found


def _act(
    shop: Shop,
    origin: str,
    path: str,
    text: str,
    jobs: tuple[str, ...],
    event: Event,
    folder: str,
    secret: str,
    address: str,
) -> Run:
    stand_ins = {
        f"stand-ins/{action.replace('/', '-')}/action.yml": yaml.safe_dump(
            {
                "name": f"A stand-in for {action}",
                "runs": {"using": "composite", "steps": [{"run": command, "shell": "bash"}]},
            }
        )
        for action, command in STAND_INS.items()
    }
    # A .secrets file keeps the secret out of the list of processes.
    given = {
        "event.json": json.dumps(event.payload()),
        "secrets": f"{SECRET}={secret}\n{ADDRESS}={address}\n",
    }
    shop.lay(folder, {**stand_ins, **given, "home/.keep": ""})
    checkout = f"git checkout -q -B {event.branch}" if event.branch else "git checkout -q --detach"
    script = f'git clone -q "$1" clone && cd clone && {checkout} "$2" && git remote set-url origin https://github.com/{REPOSITORY}.git'
    cloned = shop.run(["sh", "-ec", script, "clone", origin, event.commit], folder)
    if not cloned.well:
        return Run(path, {}, failure=f"the commit can't be cloned: {cloned.said}")
    command = ["act", event.name, "--workflows", path, "--eventpath", "../event.json", "--secret-file", "../secrets"]  # fmt: skip
    command += ["--var", f"{ADDRESS}={address}", "--json", "--no-cache-server", "--action-offline-mode", "--actor", "ana"]  # fmt: skip
    for runner in RUNNERS:
        command += ["-P", f"{runner}=-self-hosted"]
    for action, ref in dict.fromkeys(uses(text)):
        if action in STAND_INS:
            command += ["--local-repository", f"{action}@{ref}=../stand-ins/{action.replace('/', '-')}"]
    # `$PWD/home`: no configuration of this user's, and nothing of an earlier run's.
    started = ["sh", "-c", 'cd "$1" && shift && HOME="$PWD/../home" exec "$@"', "act", "clone", *command]
    ran = shop.run(
        started,
        folder,
        {"PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1", "GIT_PAGER": "cat"},
        SECONDS,
    )
    if ran.code is None:
        raise LabsError(
            f"{path} took longer than {SECONDS} s after {event.name} of {event.ref or event.head}."
        )
    results, log, failure = _told(ran)
    return Run(path, results, log, failure, jobs)


def _told(ran: Ran) -> tuple[dict[str, list[str]], str, str]:
    results: dict[str, list[str]] = {}
    log = []
    for line in ran.out.splitlines():
        try:
            message = json.loads(line)
        except ValueError:
            message = {"msg": line}
        if not isinstance(message, dict):
            continue
        log.append(f"{message.get('jobID', '')}| {str(message.get('msg', '')).rstrip()}")
        if isinstance(result := message.get("jobResult"), str):
            results.setdefault(str(message.get("jobID")), []).append(result)
    failure = ""
    if ran.code and not results:
        failure = f"act didn't run it: {ran.said}"
    elif ran.code and all(result == "success" for each in results.values() for result in each):
        failure = ran.said
    return results, "\n".join(log), failure
