"""Step 3b.1, a workflow: read by the field's linters, and run for real on what may happen in a repository. What deploys is seen in the workspace."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from labs_lib.checking.evidence import Evidence
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding
from labs_lib.cicd import workflows
from labs_lib.cicd.checks.fresh import fresh
from labs_lib.cicd.checks.workshop import Workshop, WorkspaceRelay, opened
from labs_lib.cicd.practice import PRACTICE, ROOT, repository, with_fault
from labs_lib.cicd.story import code, deployed, lay
from labs_lib.cicd.workflows import ENVIRONMENT, SECRET, Event, Run
from labs_lib.driving.driver import Lost
from labs_lib.errors import LabsError
from labs_lib.workspace.trial import Trial, trial

NOWHERE = "no job deploys"


@dataclass(frozen=True)
class Case:
    """Something that happens, and what has to come of it. `green` is None where nothing is asked of the run."""

    title: str
    event: Event
    fault: str = ""
    deploys: bool = False
    green: bool | None = None


def observe_3b_1(observer: Observer) -> dict[str, Any]:
    """What linters say, and what became of a commit's workflows under each event."""
    files = workflows.only_workflows(observer.answer("workflow_files"))
    if not files:
        return {"read": [f"there is no workflow in {workflows.FOLDER}"]}
    try:
        unread = [said for path, text in files.items() for said in _unread(path, text)]
        if unread:
            return {"read": unread}
        declared = {
            "permissions": [each for path, text in files.items() for each in permissions(path, text)],
            "pinned": [each for path, text in files.items() for each in unpinned(path, text)],
            "concurrency": concurrency(files),
            "environment": [each for path, text in files.items() for each in outside(path, text)]
            or [NOWHERE] * all(SECRET not in text for text in files.values()),
            "strange": [each for path, text in files.items() for each in workflows.strange(path, text)],
        }
        with trial({}) as w:
            deployer = lay(w)
            relay = WorkspaceRelay(w)
            with opened(observer, relay) as shop:
                shop.lay("lint", files)
                lint = workflows.linted(shop, "lint", files)
                tried = (
                    {} if declared["strange"] else played(shop, relay, w, deployer, files, fresh(observer))
                )
    except LabsError as error:
        return {"read": [str(error)]}
    except Lost as lost:
        return {"read": [f"the process that runs it {lost}"]}
    return {"read": [], "lint": lint, **declared, **tried}


def judge_3b_1(evidence: Evidence) -> Iterator[Finding]:
    """A finding for what is read of the files, one for each event."""
    observed = evidence.observed
    if observed["read"]:
        yield _finding("the workflow", observed["read"], "a workflow that can be read and run", "A workflow lies in `.github/workflows/` and has `on:` and `jobs:`.", 10)  # fmt: skip
        return
    for key, name, expected, look in (
        ("lint", "linters", "the published schema, actionlint and zizmor find nothing", "`lint_workflows(project)` says the same."),
        ("permissions", "permissions", "the job's token may read and nothing more", "Without `permissions:` a token may have whatever the repository's default gives."),
        ("pinned", "actions", "each one pinned to a commit", "A tag can be moved by whoever owns the action; the forty digits of a commit can't. Write the tag behind it as a comment."),
        ("concurrency", "concurrency", "two deployments never run at once, and none is cut off", "`concurrency:` with a group that is the same for all pushes to main."),
        ("environment", "the secret", "it is read only by a job of the environment prod", "`environment: prod` is where approvals and the environment's own secrets hang."),
        ("strange", "runners and actions", "what this machine can run", "Use ubuntu-latest, and the actions that have a stand-in here."),
    ):  # fmt: skip
        yield _finding(name, observed[key], expected, look)
    if "events" not in observed:
        yield Finding(
            "the runs", False, "the workflow run on eight events", "it can't be run here", "See above.", 8
        )
        return
    for name, expected, wrong, look in observed["events"]:
        yield _finding(name, wrong, expected, look)
    yield _finding("logs", observed["leaks"], "the secret in no log, in no form", "act and GitHub mask a secret's own text and no other form of it.")  # fmt: skip


def _finding(name: str, wrong: list[str], expected: str, look: str, weight: int = 1) -> Finding:
    return Finding(name, not wrong, expected, "; ".join(wrong[:2]) or "that", look, weight)


# What is read of the files


def _unread(path: str, text: str) -> Iterator[str]:
    try:
        if not workflows.jobs_of(workflows.read(text)):
            yield f"{path} has no jobs"
    except LabsError as error:
        yield f"{path}, {error}"


def permissions(path: str, text: str) -> Iterator[str]:
    """Jobs whose token may do more than read, or whatever the repository's default is."""
    workflow = workflows.read(text)
    above = workflow.get("permissions")
    for name, job in workflows.jobs_of(workflow).items():
        given = job.get("permissions", above)
        if given is None and "permissions" not in job and "permissions" not in workflow:
            yield f"{path}: the job {name} has the repository's default, as neither it nor the workflow has `permissions:`"
        elif given == "write-all" or (isinstance(given, dict) and "write" in given.values()):
            yield f"{path}: the token of the job {name} may write ({given})"
        elif given == "read-all":
            yield f"{path}: the token of the job {name} may read everything; it needs `contents: read`"


def unpinned(path: str, text: str) -> Iterator[str]:
    """Actions that are named by what can be moved."""
    for action, ref in workflows.uses(text):
        if len(ref) != 40 or any(digit not in "0123456789abcdef" for digit in ref):
            yield f"{path}: {action}@{ref} is no commit"


def concurrency(files: Mapping[str, str]) -> list[str]:
    """What is wrong with the group of the jobs that deploy."""
    found: list[str] = []
    if not any(SECRET in text for text in files.values()):
        return [NOWHERE]
    for path, text in files.items():
        workflow = workflows.read(text)
        for name, job in workflows.jobs_of(workflow).items():
            if SECRET not in str({**job, "env": [job.get("env"), workflow.get("env")]}):
                continue
            rules = [each for each in (job.get("concurrency"), workflow.get("concurrency")) if each]
            groups = [str(each.get("group", "") if isinstance(each, dict) else each) for each in rules]
            if not groups:
                found.append(f"{path}: nothing keeps two runs of the job {name} apart")
            elif all("run_id" in group or "run_number" in group or "sha" in group for group in groups):
                found.append(f"{path}: each push has a group of its own ({groups[0]})")
            elif any(isinstance(each, dict) and each.get("cancel-in-progress") is True for each in rules):
                found.append(
                    f"{path}: a push would cut off the job {name} of the one before in the middle of its deployment"
                )
    return found


def outside(path: str, text: str) -> Iterator[str]:
    """Jobs that can read the secret and belong to no environment."""
    workflow = workflows.read(text)
    if SECRET in str(workflow.get("env")):
        yield f"{path}: `env:` of the whole workflow gives {SECRET} to every job"
    for name, job in workflows.jobs_of(workflow).items():
        where = job.get("environment")
        where = where.get("name") if isinstance(where, dict) else where
        if f"secrets.{SECRET}" in str(job) and where != ENVIRONMENT:
            yield f"{path}: the job {name} reads {SECRET} outside of the environment {ENVIRONMENT}"
        if "toJSON(secrets)" in str(job) or "secrets[" in str(job):
            yield f"{path}: the job {name} asks for secrets without naming them"


# What happens


def project(name: str) -> dict[str, str]:
    """The practice project as a draw has it."""
    draw = random.Random(f"3b practice {name}")
    prices = PRACTICE["src/retail/prices.py"]
    prices = prices.replace("DISCOUNT_FROM = 10", f"DISCOUNT_FROM = {draw.randint(6, 30)}")
    return {
        **PRACTICE,
        "src/retail/prices.py": prices.replace("DISCOUNT = 5", f"DISCOUNT = {draw.randint(2, 20)}"),
    }


def cases(commits: Mapping[str, str], name: str) -> list[Case]:
    """What happens in the repository, under names of a draw."""
    draw = random.Random(f"3b events {name}")
    good, red = commits[""], draw.choice(["a red unit test", "a red integration test"])
    branch = f"main-{draw.choice(['prices', 'receipts', 'discounts'])}-{draw.randint(2, 99)}"
    tag = f"v{draw.randint(1, 5)}.{draw.randint(0, 9)}.{draw.randint(0, 9)}"
    number = draw.randint(3, 400)
    pull = Event("pull_request", good, head="main", base="main", number=number, fork=True)
    return [
        Case("a push to main", Event("push", good, "refs/heads/main"), deploys=True, green=True),
        Case("a pull request", pull, green=True),
        Case("a push to another branch", Event("push", good, f"refs/heads/{branch}")),
        Case("a tag", Event("push", good, f"refs/tags/{tag}")),
        Case("a start by hand on another branch", Event("workflow_dispatch", good, f"refs/heads/{branch}")),
        Case(f"main with {red}", Event("push", commits[red], "refs/heads/main"), red, green=False),
        Case(
            "main with a lint error",
            Event("push", commits["a lint error"], "refs/heads/main"),
            "a lint error",
            green=False,
        ),
        Case(
            f"a pull request with {red}",
            Event("pull_request", commits[red], head=branch, base="main", number=number + 1),
            red,
            green=False,
        ),
    ]


def played(
    shop: Workshop, relay: WorkspaceRelay, w: Trial, secret: str, files: Mapping[str, str], name: str
) -> dict[str, Any]:
    """What became of each event: its title, what is expected, what is wrong, where to look."""
    commits = repository(shop, {**project(name), **files})
    events, logs = [], ""
    for number, case in enumerate(cases(commits, name)):
        before, asked = deployed(w), len(relay.asked)
        ran = workflows.run(shop, f"../../{ROOT}", files, case.event, name=f"runs/{number}", secret=secret, address=shop.address, changed=["src/retail/prices.py"])  # fmt: skip
        wrote = [each for each in relay.asked[asked:] if each.method != "GET" and each.status < 400]
        expected, wrong, look = _held(
            case,
            ran,
            before,
            deployed(w),
            len(wrote),
            with_fault(project(name), case.fault) if case.fault else project(name),
        )
        events.append((case.title, expected, wrong, look))
        logs += "\n".join(run.log for run in ran)
    deploys = deployed(w) != {}
    if not deploys:  # what never deploys holds nothing back
        events = [(title, expected, wrong or [NOWHERE], look) for title, expected, wrong, look in events]
    return {"events": events, "leaks": leaks(logs, secret) if deploys else [NOWHERE]}


def _held(
    case: Case,
    ran: list[Run],
    before: dict[str, str],
    after: dict[str, str],
    wrote: int,
    files: Mapping[str, str],
) -> tuple[str, list[str], str]:
    wrong = []
    failed = [run for run in ran if run.failure]
    if case.deploys:
        expected = "every job green, and the commit is in prod"
        look = 'Read the run of `try_workflows(project, "push to main")`.'
        if not ran:
            wrong.append("no workflow starts")
        elif failed:
            wrong.append(failed[0].failure)
        elif not all(run.green for run in ran):
            wrong.append(_results(ran))
        if f'"{case.event.commit}"' not in after.get("release.json", ""):
            wrong.append("prod doesn't have the commit")
        elif code(after) != code(files):
            wrong.append("prod has other files than the commit")
        return expected, wrong, look
    expected = "nothing is deployed"
    look = "Which condition holds the deployment back here? `github.event_name` and `github.ref` say what happened."
    if wrote or after != before:
        wrong.append("it deploys")
    if case.green is None:
        return expected, wrong, look
    if not ran:
        wrong.append("no workflow starts")
    elif case.green:
        expected += ", and the checks run green"
        if failed or not all(run.green for run in ran):
            wrong.append(failed[0].failure if failed else f"the run isn't green: {_results(ran)}")
    else:
        expected += ", and the run is red"
        look = "The deployment `needs` the jobs that test and lint; a step that may fail makes its job green."
        if all(run.green for run in ran):
            wrong.append("the run is green")
    return expected, wrong, look


def _results(ran: list[Run]) -> str:
    found = [f"{job} {'/'.join(results)}" for run in ran for job, results in sorted(run.results.items())]
    return ", ".join(found) or "no job has a result"


def leaks(log: str, secret: str) -> list[str]:
    """Forms of the secret that stand in the logs."""
    plain = log.replace("\n", "")
    forms = {
        "as it is": secret,
        "backwards": secret[::-1],
        "in base64": base64.b64encode(secret.encode()).decode()[:-4],
        "in hexadecimal": secret.encode().hex(),
        "letter by letter": " ".join(secret),
        "without its beginning": secret[6:],
        "without its end": secret[:-6],
    }
    return [
        f"the token stands in the log {how}" for how, form in forms.items() if form in plain or form in log
    ]
