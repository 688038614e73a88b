"""Step 3b.4, a release command: run on releases of a practice project, good and bad ones, and judged by what dev and prod have afterwards."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets.variation import generator
from labs_lib.checking.evidence import Evidence
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding
from labs_lib.cicd.bundle import deploying, resolving
from labs_lib.cicd.checks.direct import Direct
from labs_lib.cicd.checks.fresh import fresh
from labs_lib.cicd.checks.workshop import Ran, Workshop, WorkspaceRelay, opened, token_of
from labs_lib.cicd.releases import RELEASED
from labs_lib.driving.driver import Lost
from labs_lib.workspace.ground.errors import WorkspaceError
from labs_lib.workspace.identity import LEARNER
from labs_lib.workspace.jobs import flow
from labs_lib.workspace.jobs.rules import FINAL, Result
from labs_lib.workspace.trial import Trial, trial

COMMAND = "release.py"
PROJECT = "project"
ROOT = "/Shared/corner-shop"
TARGETS = ("dev", "prod")
WAIT = 2  # requests that a run of a job outlives
Files = dict[str, str]


@dataclass(frozen=True)
class Release:
    """What is released. `smoke` says whether the job smoke will succeed."""

    name: str
    files: Files
    smoke: bool = True
    commit: str = ""


def observe_3b_4(observer: Observer) -> dict[str, Any]:
    """What became of each release."""
    files = observer.answer("release_files")
    if COMMAND not in files:
        return {"lost": f"there is no {COMMAND}"}
    which = fresh(observer)
    told: dict[str, Any] = {"lost": ""}
    try:
        with trial({}) as w:
            first = changed(RELEASED, f"first {which}", observer.lab.seed)
            for target in TARGETS:
                laid(w, first, target)
            runs = Runs(w)
            relay = WorkspaceRelay(w, runs.go_on)
            with opened(observer, relay) as shop:
                for release in releases(first, which, observer.lab.seed):
                    told[release.name] = tried(w, relay, runs, shop, release, files)
    except Lost as lost:
        return {"lost": f"the process that runs it {lost}"}
    except WorkspaceError as error:  # whose admin it deploys as, it may have locked out
        return {"lost": f"afterwards the workspace says: {error.message[:200]}"}
    return told


def judge_3b_4(evidence: Evidence) -> Iterator[Finding]:
    """A finding for each release."""
    observed = evidence.observed
    if observed["lost"]:
        yield Finding(
            "the release command",
            False,
            f"`python {COMMAND}` in the project's folder",
            observed["lost"],
            "",
            10,
        )
        return
    for name, title, expected, look, weight, rules in (
        ("red", "a red test", "exit code not 0; dev and prod as they were", "`check=True`, or the exit code looked at, before anything is deployed.", 2,
         (("failed", True), ("dev", "before"), ("prod", "before"))),
        ("invalid", "prod is invalid", "exit code not 0; dev and prod as they were", "Ask both targets whether they are valid before you touch one.", 2,
         (("failed", True), ("dev", "before"), ("prod", "before"))),
        ("smoke", "the smoke job fails", "exit code not 0; dev has the release, prod is as it was", "`labs bundle run` ends with 1 when the run fails.", 2,
         (("failed", True), ("dev", "new"), ("prod", "before"), ("ran", True))),
        ("good", "a good release", "exit code 0; dev and prod have it, and the smoke job ran in dev before prod was touched", "", 3,
         (("failed", False), ("dev", "new"), ("prod", "new"), ("ran", True))),
        ("again", "the same once more", "exit code 0; no file and no job is touched", "A deployment that compares first changes nothing; one that destroys first does.", 1,
         (("failed", False), ("dev", "new"), ("prod", "new"), ("touched", []))),
    ):  # fmt: skip
        got = observed[name]
        wrong = [_said(key, wanted, got) for key, wanted in rules if got[key] != wanted]
        yield Finding(title, not wrong, expected, "; ".join(wrong) or "that", look, weight)


def _said(key: str, wanted: Any, got: Mapping[str, Any]) -> str:
    found = got[key]
    if key == "failed":
        return f"it ended with {got['code']} ({got['said']})"
    if key == "ran":
        return "the job smoke didn't run in dev before prod was touched"
    if key == "touched":
        return f"asked for {', '.join(found[:2])}"
    return (
        f"{key} "
        + {"before": "is as it was", "new": "has the release", "other": "has something of both"}[found]
    )


def changed(files: Mapping[str, str], name: str, seed: int) -> Files:
    """The project with another discount and another number of workers, and a test more."""
    random = generator(seed, name)
    discount, workers, word = int(random.integers(6, 40)), int(random.integers(5, 30)), random.bytes(3).hex()
    return {
        **files,
        "src/retail/prices.py": files["src/retail/prices.py"].replace(
            "DISCOUNT = 5 ", f"DISCOUNT = {discount} "
        ),
        "databricks.yml": files["databricks.yml"].replace("workers: 4", f"workers: {workers}"),
        f"tests/unit/test_{word}.py": f"from retail.prices import line_total\n\n\ndef test_{word}():\n    assert line_total(1, {workers}) == {workers}\n",
    }


def releases(first: Files, which: str, seed: int) -> Iterator[Release]:
    """Bad ones, a good one, and the same again."""
    red, invalid, smoke, good = (
        changed(RELEASED, f"{name} {which}", seed) for name in ("red", "invalid", "smoke", "good")
    )
    yield Release("red", _reddened(red, generator(seed, f"how red {which}")))
    yield Release("invalid", _invalid(invalid, generator(seed, f"how invalid {which}")))
    yield Release("smoke", smoke, smoke=False)
    yield Release("good", good)
    yield Release("again", good)


def _reddened(files: Files, random: Any) -> Files:
    """The project with a test that doesn't hold: for the test's own sake, or for the code's."""
    if random.integers(2):
        return {
            **files,
            "src/retail/prices.py": files["src/retail/prices.py"].replace(
                "total = pieces * cents", "total = pieces * cents + 1"
            ),
        }
    path = next(path for path in files if path.startswith("tests/unit/") and path not in RELEASED)
    return {**files, path: files[path].replace("(1, ", "(2, ")}


def _invalid(files: Files, random: Any) -> Files:
    """The project with a bundle that is valid for dev, and for prod isn't."""
    before, _, after = files["databricks.yml"].rpartition("workers: ")  # of prod, and of no other target
    number, _, rest = after.partition("\n")
    wrong = (f"${{var.workers_{random.bytes(2).hex()}}}", f"{number} or more", "[1, 2]")[
        int(random.integers(3))
    ]
    return {**files, "databricks.yml": f"{before}workers: {wrong}\n{rest}"}


def laid(w: Trial, files: Files, target: str) -> None:
    """Have a target hold these files, as an earlier release left it."""
    resolved = resolving.resolve(resolving.load(files), target, LEARNER)
    whole = {path: text.encode() for path, text in files.items()}
    deploying.deploy(Direct(w, LEARNER), resolved, whole, "", lambda said: None)


class Runs:
    """What runs in the workspace, which has no machines: a run of a job goes on for some requests, and then ends as the release has it."""

    def __init__(self, w: Trial) -> None:
        self.w = w
        self.smoke = True
        self.prod: dict[str, Any] = {}  # what prod had before the release
        self.early = False  # whether it had that still when a run of the job smoke ended in dev
        self.ended: list[str] = []  # the names of jobs, in the order in which their runs ended
        self._seen: dict[int, int] = {}

    def go_on(self, w: Trial) -> None:
        """Called before each request."""
        ended = len(self.ended)
        self._go_on(w)
        if any(name.startswith("[dev ") and "smoke" in name for name in self.ended[ended:]):
            self.early = has(w, "prod") == self.prod

    def _go_on(self, w: Trial) -> None:
        with w.transaction() as ctx:
            rows = ctx.db.execute("SELECT id, run_id, life FROM attempts").fetchall()
            for row in rows:
                if row["life"] in FINAL:
                    continue
                self._seen[row["id"]] = self._seen.get(row["id"], 0) + 1
                if self._seen[row["id"]] <= WAIT:
                    continue
                name = json.loads(flow.row(ctx, row["run_id"])["settings"])["name"]
                well = self.smoke or "smoke" not in name
                said = "" if well else "AssertionError: a receipt of one line has no total"
                flow.end_attempt(ctx, row["id"], Result.SUCCESS if well else Result.FAILED, said)
                self.ended.append(name)


def tried(
    w: Trial, relay: WorkspaceRelay, runs: Runs, shop: Workshop, release: Release, command: Files
) -> dict[str, Any]:
    """What a release left."""
    before = {target: has(w, target) for target in TARGETS}
    runs.smoke, runs.ended, runs.prod, runs.early = release.smoke, [], before["prod"], False
    relay.asked.clear()
    folder = f"{PROJECT}-{release.name}" if release.name != "again" else f"{PROJECT}-good"
    shop.lay(folder, {**release.files, **command})
    environment = {
        "DATABRICKS_HOST": shop.address,
        "DATABRICKS_TOKEN": token_of(w, LEARNER),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), "/usr/bin", "/bin")),
    }
    ran: Ran = shop.run(["python", COMMAND], folder, environment, engine=True)
    after = {target: has(w, target) for target in TARGETS}
    told: dict[str, Any] = {"failed": not ran.well, "code": ran.code, "said": ran.said}
    for target in TARGETS:
        told[target] = "new" if as_released(after[target], release.files, target) else "before" if after[target] == before[target] else "other"  # fmt: skip
    told["ran"] = runs.early
    told["touched"] = sorted({each.path for each in relay.asked if each.method != "GET" and "/jobs/run-now" not in each.path and "/mkdirs" not in each.path})  # fmt: skip
    return told


def has(w: Trial, target: str) -> dict[str, Any]:
    """What a target has: its files, and the settings of its jobs by id."""
    there = w.ask("GET", "/api/labs/state")["files"]["objects"]
    files = {
        each["path"]: each["content"]
        for each in there
        if each["path"].startswith(f"{ROOT}/{target}/") and each["content"] is not None
    }
    jobs = w.ask("GET", "/api/2.2/jobs/list", limit=100, expand_tasks=True)["jobs"]
    own = {
        str(each["job_id"]): each["settings"]
        for each in jobs
        if f"{ROOT}/{target}/" in json.dumps(each["settings"])
    }
    return {"files": files, "jobs": own}


def as_released(found: Mapping[str, Any], files: Files, target: str) -> bool:
    """Whether a target has just that release: its programs, and its jobs as the bundle has them."""
    try:
        resolved = resolving.resolve(resolving.load(files), target, LEARNER)
    except resolving.BundleError:
        return False
    below = f"{resolved.file_path}/"
    there = {
        path.removeprefix(below): base64.b64decode(text).decode(errors="replace")
        for path, text in found["files"].items()
        if path.startswith(below)
    }
    programs = {path: text for path, text in files.items() if path.startswith(("src/", "jobs/"))}
    settings = [
        (each["name"], (each.get("tasks") or [{}])[0].get("new_cluster")) for each in found["jobs"].values()
    ]
    wanted = [
        (each["name"], each["tasks"][0].get("new_cluster")) for each in resolved.resources["jobs"].values()
    ]
    return {path: there.get(path) for path in programs} == programs and sorted(settings, key=str) == sorted(
        wanted, key=str
    )
