"""`check("1a.1")`: collect a step's evidence, judge it, show the verdict, keep it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from importlib import import_module, resources
from types import ModuleType
from typing import Any

from pyspark.errors import PySparkException

from labs_lib import lab, registry, settings
from labs_lib.checking import cards, hidden_names, keep, progress_file, raised, used
from labs_lib.checking.evidence import Evidence, Unusable, capture
from labs_lib.checking.observer import Measured, Observer
from labs_lib.checking.verdict import Finding, Verdict, settle
from labs_lib.driving.driver import NotStarted
from labs_lib.driving.launch import Launch, plain_child
from labs_lib.engine import runs
from labs_lib.errors import LabsError, first_line
from labs_lib.registry import Step

Observe = Callable[[Observer], dict[str, Any]]
Judge = Callable[[Evidence], Iterable[Finding]]

# What reading an answer of a shape that nobody thought of may raise: an infinite sum, a date after the year 9999, a list for a dict.
ODD = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def check(step_id: str) -> cards.Card:
    """Check the answers of a step in the calling notebook; the verdict shows itself as a card.

    Names are looked up in the caller's variables and in the open lab's database. Raises LabsError if there is no such
    step, it is not yet written or no lab is open. Never raises for a wrong answer, writes nothing to stderr, changes nothing that it checks.
    """
    namespace = sys._getframe(1).f_globals
    step, exercise = registry.step(step_id), registry.exercise_of(step_id)
    if not exercise.written:
        raise LabsError(f"{exercise.to_come} Its steps can't be checked yet.")
    opened = lab.current()
    started = time.perf_counter()
    captured = capture(step, namespace, opened)
    if settings.captures_only():
        captured.save(opened.folder / "evidence")
        keep.what_plans_need(step, captured, namespace, opened)
        sentence = "The evidence is kept for the grader, who judges it."
        return cards.Card(step.id, step.title, "unanswered", 0, step.points, sentence)
    evidence = examine(step, captured, opened)
    evidence.save(opened.folder / "evidence")
    verdict = judge(step, evidence, expected_digests(step, opened.seed))
    solved = {
        name
        for name, state in progress_file.load(opened.folder.parent).items()
        if state.get("status") == "pass"
    }
    verdict = blame_earlier_step(verdict, step, solved).timed(time.perf_counter() - started)
    if verdict.status not in {"pass", "blocked"} and (hidden := hidden_names.sentence(namespace)):
        verdict = replace(verdict, sentence=f"{verdict.sentence} {hidden}")
    if not verdict.passed and (error := raised.sentence(step, runs.latest())):
        verdict = replace(verdict, sentence=f"{verdict.sentence} {error}")
    progress_file.record(verdict, opened.seed, opened.folder.parent)
    if not _in_kernel():
        print(cards.text(verdict))
        return cards.PrintedCard(**vars(verdict))
    return cards.Card(**vars(verdict))


def examine(
    step: Step,
    evidence: Evidence,
    opened: lab.Lab,
    trusting: bool = True,
    measured: Measured | None = None,
    launch: Launch = plain_child,
) -> Evidence:
    """Captured evidence with what an engine says about it: observations and digests.

    What goes wrong on the way is the answer failing, and becomes a problem with a sentence. `trusting`, `measured`
    and `launch` are for Observer.
    """
    if evidence.missing or evidence.problems:
        return evidence
    observer = Observer(step, evidence, opened, trusting, {} if measured is None else measured, launch)
    function: Observe | None = _functions(step)[0]
    try:
        digests = observer.digests()
        observed = json.loads(json.dumps(function(observer), default=str)) if function else {}
        return replace(evidence, observed=observed, digests=digests, lost=dict(observer.lost))
    except NotStarted:
        raise  # nobody's answer is wrong because of that
    except (LabsError, Unusable, PySparkException) as error:
        return replace(evidence, problems={"": first_line(error)})
    except ODD as error:
        # An answer of a shape nobody thought of.
        sentence = f"The answer can't be read as the task describes it: {first_line(error)}."
        return replace(evidence, problems={"": sentence})


def judge(step: Step, evidence: Evidence, expected: Mapping[str, str] | None) -> Verdict:
    """The verdict on a step's evidence: a pure function, the same in the notebook and in the grader.

    `expected` holds digests of the solution's answers under the same seed, or is None where nobody has run it.
    """
    taken = (
        used.told(answer, evidence.answers[answer.name])
        for answer in step.answers
        if answer.name in evidence.answers
    )
    return replace(_verdict(step, evidence, expected), taken=tuple(told for told in taken if told))


def _verdict(step: Step, evidence: Evidence, expected: Mapping[str, str] | None) -> Verdict:
    own = {answer.name for answer in step.answers if not answer.given}
    names = ", ".join(f"`{name}`" for name in evidence.missing)
    if evidence.missing and own <= set(evidence.missing) | (set(evidence.problems) & own):
        sentence = f"No answer yet: {names} {'is' if len(evidence.missing) == 1 else 'are'} not there."
        return Verdict(step.id, step.title, "unanswered", 0, step.points, sentence, hints=step.hints)
    if evidence.missing or evidence.problems:
        sentences = [*evidence.problems.values(), *([f"Still missing: {names}."] if names else [])]
        return Verdict(step.id, step.title, "fail", 0, step.points, " ".join(sentences), hints=step.hints)
    try:
        findings = [_lost(finding, evidence) for finding in _functions(step)[1](evidence)]
    except ODD as error:
        sentence = (
            f"The answer can't be read as the task describes it: {type(error).__name__}: {first_line(error)}."
        )
        return Verdict(step.id, step.title, "fail", 0, step.points, sentence, hints=step.hints)
    for name in step.compare:
        if expected is not None:
            same = evidence.digests.get(name) == expected.get(name)
            findings.append(
                Finding(
                    f"`{name}` is right",
                    same,
                    "the rows that the task asks for",
                    "exactly those" if same else "other rows, values or column names",
                    ""
                    if same
                    else "Read the task's definition once more, and look at the rows that you have.",
                    weight=2,
                )
            )
    return settle(step.id, step.title, step.points, findings, step.hints)


def _lost(finding: Finding, evidence: Evidence) -> Finding:
    """A finding of a step's own check, which rests on plans: not held where one of them can't be made again."""
    if not evidence.lost:
        return finding
    found = " ".join(
        f"The plan of `{name}` does not count, as grading can't make it again: {reason}"
        for name, reason in evidence.lost.items()
    )
    look = "Its rows are judged as they came out here. Write it with Spark's own functions, on tables and views, and its plan counts too."
    return replace(finding, ok=False, found=found, look=look)


def expected_digests(step: Step, seed: int) -> dict[str, str] | None:
    """Digests of the solution's answers: from LABS_EXPECTED if set, for seed 0 from `datasets/expected`, else None."""
    module = registry.module_of(step.id).name
    folder = settings.expected()
    if folder is not None:
        source = folder / f"{module}.json"
        text = source.read_text() if source.exists() else ""
    elif seed == 0 and settings.scale() == 1:
        resource = resources.files("datasets") / "expected" / f"{module}.json"
        text = resource.read_text() if resource.is_file() else ""
    else:
        text = ""
    return json.loads(text).get(step.id) if text else None


def _functions(step: Step) -> tuple[Observe | None, Judge]:
    """`observe_1a_1` (if the step needs one) and `judge_1a_1` from the exercise's module in `labs_lib.checks`."""
    checks, suffix = _checks(step), step.id.replace(".", "_")
    return getattr(checks, f"observe_{suffix}", None), getattr(checks, f"judge_{suffix}")


def _checks(step: Step) -> ModuleType:
    room = registry.room(registry.module_of(step.id).name)
    return import_module(f"labs_lib.{room}.checks.exercise_{step.id.split('.')[0]}")


def blame_earlier_step(verdict: Verdict, step: Step, solved: Collection[str]) -> Verdict:
    """Where a step that this one builds on is not among those solved, say so instead of listing what follows from it.

    That holds for a verdict that would pass as well: an answer that rests on nothing is not an answer to this step.
    """
    unsolved = [need for need in step.needs if need not in solved]
    if not unsolved:
        return verdict
    first = registry.step(unsolved[0])
    sentence = (
        f"This step builds on {first.id} ({first.title}), which is not solved yet. Solve that one first."
    )
    return replace(verdict, status="blocked", points=0, sentence=sentence, findings=(), hints=())


def _in_kernel() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")
