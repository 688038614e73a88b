"""What a notebook tries its workflows and its delivery with: the same runs that a judge makes, and what came of them in words."""

from __future__ import annotations

from pathlib import Path

from labs_lib.cicd import workflows
from labs_lib.cicd.local import here
from labs_lib.cicd.practice import FAULTS, PRACTICE, ROOT, repository, with_fault
from labs_lib.cicd.relay import WorkspaceRelay
from labs_lib.cicd.story import code, deployed, in_words, lay, play
from labs_lib.cicd.workflows import ENVIRONMENT, Event, Run
from labs_lib.errors import LabsError
from labs_lib.workspace.trial import trial

HAPPENINGS = {
    "push to main": ("push", "refs/heads/main"),
    "push to a branch": ("push", "refs/heads/main-prices"),
    "tag": ("push", "refs/tags/v1.4.0"),
    "start by hand": ("workflow_dispatch", "refs/heads/main-prices"),
    "pull request": ("pull_request", ""),
}


def lay_deployment(project: Path | str) -> Path:
    """Put deploy.py, the program that deploys a commit, into a project that has none, and return its path."""
    target = Path(project) / "deploy.py"
    if not target.exists():
        target.write_text(PRACTICE["deploy.py"], encoding="utf-8")
    return target


def lint_workflows(project: Path | str) -> list[str]:
    """What the published schema, actionlint and zizmor say of a project's workflows; it is printed, too."""
    files = _workflows(project)
    with here() as shop:
        shop.lay("lint", files)
        found = workflows.linted(shop, "lint", files)
    found += [said for path, text in files.items() for said in workflows.strange(path, text)]
    print("\n".join(found) or "Nothing to say of it.")
    return found


def try_workflows(project: Path | str, happened: str, fault: str = "") -> list[Run]:
    """Run a project's workflows on a practice commit, in which there may be a fault, after one of the HAPPENINGS; prints each job's result, and what was deployed.

    They deploy to a workspace that is made for this and forgotten. Each run that is returned has its jobs' output as `log`.
    """
    if happened not in HAPPENINGS:
        raise LabsError(f"{happened!r} is none of what can happen: {', '.join(HAPPENINGS)}.")
    if fault and fault not in FAULTS:
        raise LabsError(f"{fault!r} is none of the faults: {', '.join(FAULTS)}.")
    files = _workflows(project)
    name, ref = HAPPENINGS[happened]
    with trial({}) as w:
        secret = lay(w)
        with here(WorkspaceRelay(w)) as shop:
            commits = repository(shop, {**PRACTICE, **files})
            event = Event(name, commits[fault], ref, head="prices", base="main", number=7)
            ran = workflows.run(shop, f"../{ROOT}", files, event, name="run", secret=secret, address=shop.address, changed=["src/retail/prices.py"])  # fmt: skip
        has = deployed(w)
    print(f"{happened}, {fault or 'all well'}:")
    for run in ran:
        print(f"    {Path(run.path).name}: {run.failure or _results(run)}")
    if not ran:
        print("    no workflow starts")
    commit = PRACTICE | (with_fault(PRACTICE, fault) if fault else {})
    print(f"    {ENVIRONMENT} has {'nothing new' if not has else 'the commit' if code(has) == code(commit) else 'files of another commit'}")  # fmt: skip
    return ran


def rehearse_delivery(project: Path | str, name: str = "rehearsal") -> None:
    """Have a project's `deliver` of delivery.py take four tickets to where they belong, behind a gate, with its workflows as checks; prints what came of each."""
    folder = Path(project)
    program = folder / "delivery.py"
    if not program.is_file():
        raise LabsError(f"There is no {program}; write it first.")
    files = {"delivery.py": program.read_text(encoding="utf-8"), **_workflows(project)}
    print(in_words(play(here, files, name)))


def _results(run: Run) -> str:
    shown = [f"{job} {'/'.join(run.results[job]) if job in run.results else 'skipped'}" for job in run.jobs]
    return ", ".join(shown)


def _workflows(project: Path | str) -> dict[str, str]:
    folder = Path(project)
    found = {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted((folder / workflows.FOLDER).glob("*"))
        if path.is_file()
    }
    found = workflows.only_workflows(found)
    if not found:
        raise LabsError(f"There is no workflow in {folder / workflows.FOLDER}; write one first.")
    return found
