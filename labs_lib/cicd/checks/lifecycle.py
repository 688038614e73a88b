"""Step 3b.5, the lifecycle: four fresh tickets, of which one is red and one bad, go through a gate that is out of the learner's reach.

The bare repository with its hook, pull requests, checks and the workspace are all in this process. The learner's program has a clone, and the hub's address.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labs_lib.checking.evidence import Evidence, Unusable
from labs_lib.checking.observer import Observer
from labs_lib.checking.verdict import Finding
from labs_lib.cicd import workflows
from labs_lib.cicd.checks.fresh import fresh
from labs_lib.cicd.checks.workshop import opened
from labs_lib.cicd.story import Told, code, play
from labs_lib.driving.driver import Lost
from labs_lib.errors import LabsError

WORDS = {"good": "released", "red": "refused", "bad": "rolled back"}


def observe_3b_5(observer: Observer) -> dict[str, Any]:
    """What became of each ticket."""
    files = observer.answer("delivery_files")
    if "delivery.py" not in files:
        return {"ended": "there is no delivery.py in the folder"}
    if not workflows.only_workflows(files):
        return {
            "ended": f"there is no workflow in {workflows.FOLDER}, so nothing checks a pull request; step 3b.1 makes one"
        }
    try:
        played = play(lambda serve: opened(observer, serve, seconds=120), files, fresh(observer))
    except (LabsError, Unusable) as error:
        return {"ended": str(error)}
    except Lost as lost:
        return {"ended": f"the process that runs delivery.py {lost}"}
    return {
        "ended": "",
        **{name: [each for told in played for each in held(told)] for name, held in HELD.items()},
    }


def judge_3b_5(evidence: Evidence) -> Iterator[Finding]:
    """A finding for each thing that history and workspace have to show."""
    observed = evidence.observed
    if observed["ended"]:
        yield Finding("the tickets", False, "four tickets taken to where they belong", observed["ended"], "`rehearse_delivery(project)` does the same here.", 6)  # fmt: skip
        return
    for name, expected, look in (
        ("good tickets", "both on main and in production", "A colleague may be quicker: a branch that is behind main has to be updated, and its checks run anew on what is to be merged."),
        ("the red ticket", "not on main, not in production, its pull request closed", "Look at each check run's conclusion before you merge."),
        ("the bad ticket", "merged, seen to be bad, and undone by a revert through the same gate: production as before", "`git revert -m 1 <merge commit>` on a new branch, and then the way of every change."),
        ("main", "moved by merges alone; no push to it, nothing rewritten", "A push to main is refused by the gate, whatever it holds."),
        ("releases", "an annotated tag of its version on the merge commit that production runs; none for what was refused or undone", "`git tag -a`, after you have seen that production is healthy, on the merge commit and not the branch; then push the tag."),
        ("what deliver says", "released, refused or rolled back", "The word is what the team reads."),
    ):  # fmt: skip
        wrong = observed[name]
        yield Finding(name, not wrong, expected, "; ".join(wrong[:2]) or "that", look)


def _good(told: Told) -> Iterator[str]:
    ticket = told.ticket
    if ticket.kind != "good":
        return
    if any(told.trees[1].get(path) != text for path, text in code(ticket.files).items()):
        yield f"{ticket.title!r} isn't on main ({_ending(told)})"
    elif code(told.prod[1]) != told.trees[1]:
        yield f"{ticket.title!r} isn't in production, or not as it is on main"


def _red(told: Told) -> Iterator[str]:
    if told.ticket.kind != "red":
        return
    if told.moves or code(told.prod[0]) != code(told.prod[1]):
        yield "main moved, or production did"
    if not told.pulls:
        yield f"there was no pull request ({_ending(told)})"
    elif any(pull.state == "open" for pull in told.pulls):
        yield f"its pull request is still open ({_ending(told)})"


def _bad(told: Told) -> Iterator[str]:
    if told.ticket.kind != "bad":
        return
    if not told.moves:
        yield f"it was never merged ({_ending(told)})"
    elif told.trees[0] != told.trees[1]:
        yield f"main's code isn't what it was before ({_ending(told)})"
    elif code(told.prod[0]) != code(told.prod[1]):
        yield "production isn't what it was before"
    elif len(told.moves) != 2:
        yield f"main moved {len(told.moves)} times, where a merge and its revert are two"


def _main(told: Told) -> Iterator[str]:
    if told.refused:
        yield f"at {told.ticket.title!r} the gate refused a push: {told.refused[0]}"
    elif told.ticket.kind == "good" and not told.moves:
        yield "it stood still"


def _releases(told: Told) -> Iterator[str]:
    ticket, tags = told.ticket, told.tags
    if ticket.kind != "good":
        if tags:
            yield f"{', '.join(tags)} was tagged, and is not what production runs"
        return
    kind, commit = tags.get(ticket.version, ("", ""))
    if not kind:
        yield f"the hub has no tag {ticket.version}"
    elif kind != "tag":
        yield f"{ticket.version} is a lightweight tag: nobody's name, no date"
    elif commit != told.main[1] or f'"{commit}"' not in told.prod[1].get("release.json", ""):
        yield f"{ticket.version} names another commit than production runs"


def _words(told: Told) -> Iterator[str]:
    wanted = WORDS[told.ticket.kind]
    if told.word != wanted:
        yield f"{_ending(told)} of {told.ticket.title!r}, which is to be {wanted}"


def _ending(told: Told) -> str:
    return f"deliver ends with {told.error}" if told.error else f"deliver says {str(told.word)[:40]!r}"


HELD = {
    "good tickets": _good,
    "the red ticket": _red,
    "the bad ticket": _bad,
    "main": _main,
    "releases": _releases,
    "what deliver says": _words,
}
