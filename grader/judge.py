"""Has a submission's evidence judged in a sandbox of its own and brings the verdicts back.

What a plan or a table does to the judge's process hurts that submission only: the step at which the judge ends gets no
points, and the judge starts again for those after it.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import grader
from grader.sandbox import Ended, Limits
from grader.submission import Patience, Ran
from grader.vetting import Rejected, read_json
from grader.vetting.files import shown
from grader.workbox import Workbox, workbox
from labs_lib import registry
from labs_lib.registry import Module, Step
from labs_lib.verdict import Finding, Status, Verdict

STARTS = 3  # of the judge for one submission
RESULT_BYTES = 32 * 2**20
START = 60.0  # seconds that one start of the judge may take beside its steps
SENTENCE = 2000  # characters of any text in a verdict


@dataclass(frozen=True)
class Judged:
    """The verdict on each step, and the evidence as the judge saw it (the solution's becomes the reference)."""

    verdicts: tuple[Verdict, ...]
    evidence: Mapping[str, dict[str, Any]]
    problems: tuple[str, ...]  # sentences about the run of the judge itself


def judge(
    ran: Ran,
    module: Module,
    seed: int,
    reference: Mapping[str, dict[str, Any]] | None,
    course_tables: Sequence[str],
    data: Sequence[Path],
    protected: bool,
    patience: Patience,
) -> Judged:
    """Judge what a run left. `reference` is the solution's evidence by step; None when the solution itself is judged.

    Raises LabsError if no sandbox can be set up; whatever the evidence holds gives a verdict.
    """
    with workbox(data, [Path(grader.__file__).resolve().parent], protected) as box:
        (box.path / "in").mkdir()
        (box.path / "out").mkdir()
        problems = []
        try:
            ran.take_evidence(box.path / "in" / "evidence")
        except Rejected as refusal:
            (box.path / "in" / "evidence").mkdir()
            problems.append(f"The evidence was refused: {refusal}")
        refused = ran.take_tables(box.path / "in" / "tables")
        if reference is not None:
            (box.path / "in" / "reference.json").write_text(json.dumps(reference))
        steps = list(registry.steps(module))
        found: dict[str, tuple[Verdict, dict[str, Any] | None]] = {}
        for _ in range(STARTS):
            pending = [step for step in steps if step.id not in found]
            if not pending:
                break
            plan = {
                **{
                    "module": module.name,
                    "seed": seed,
                    "course_tables": list(course_tables),
                    "refused": refused,
                },
                **{"steps": [step.id for step in pending], "patience": patience.step},
                "solved": [name for name, (verdict, _) in found.items() if verdict.passed],
            }
            ended = _start(box, plan, patience)
            found |= _results(box.path / "out", pending)
            left = [step for step in pending if step.id not in found]
            if left:
                problems.append(f"Judging step {left[0].id} ended the judge: {_why(ended)}")
                found[left[0].id] = (
                    _unjudged(left[0], f"Judging this answer took too much. {_why(ended)}"),
                    None,
                )
        for step in steps:
            found.setdefault(
                step.id, (_unjudged(step, "The answers before used up the judge's patience."), None)
            )
    return Judged(
        tuple(found[step.id][0] for step in steps),
        {step.id: evidence for step in steps if (evidence := found[step.id][1]) is not None},
        tuple(problems),
    )


def _start(box: Workbox, plan: dict[str, Any], patience: Patience) -> Ended:
    (box.path / "in" / "plan.json").write_text(json.dumps(plan))
    tables = box.path / "in" / "tables"
    laid = box.workspace / plan["module"] / "tables"
    if laid.is_dir():  # an earlier start moved them
        for folder in laid.iterdir():
            if folder.name not in plan["course_tables"]:
                folder.rename(tables / folder.name)
        shutil.rmtree(box.workspace)
    return box.run([sys.executable, "-m", "grader.judge_inside"], Limits(wall=START + patience.judging))


def _results(folder: Path, steps: Sequence[Step]) -> dict[str, tuple[Verdict, dict[str, Any] | None]]:
    found = {}
    for step in steps:
        path = folder / f"{step.id}.json"
        if path.is_file():
            try:
                raw = read_json(path, RESULT_BYTES, 60)
                found[step.id] = (verdict_from(raw["verdict"], step), raw["evidence"])
            except (Rejected, KeyError, TypeError, ValueError) as error:
                found[step.id] = (_unjudged(step, f"The judge's result can't be read: {error}"), None)
    return found


def verdict_from(raw: Mapping[str, Any], step: Step) -> Verdict:
    """A verdict from JSON, held to the step's own title, points and hints. Raises ValueError if it is none.

    The judge's process reads hostile data, so its word is checked as well.
    """
    points = float(raw["points"])
    status: Status = raw["status"]
    if (
        not 0 <= points <= step.points
        or status not in get_args(Status)
        or (status == "pass") != (points == step.points)
    ):
        raise ValueError(f"{points:g} points and {status!r} are no verdict on step {step.id}")
    findings = tuple(
        Finding(
            _text(each["name"]),
            bool(each["ok"]),
            _text(each["expected"]),
            _text(each["found"]),
            _text(each["look"]),
        )
        for each in raw["findings"]
    )
    hints = step.hints if status != "pass" and raw["hints"] else ()
    return Verdict(
        step.id,
        step.title,
        status,
        points,
        step.points,
        _text(raw["sentence"]),
        findings,
        hints,
        float(raw["seconds"]),
    )


def as_json(verdict: Verdict) -> dict[str, Any]:
    """What verdict_from reads."""
    return asdict(verdict)


def _text(value: Any) -> str:
    return shown(str(value), SENTENCE)


def _why(ended: Ended) -> str:
    if ended.returncode == 124:
        return "It ran longer than an answer may."
    if ended.returncode in (None, 0):
        return ended.sentence
    last = ended.output.strip().splitlines()[-1:] or [""]
    return f"{ended.sentence} {shown(last[0], 300)}".strip()


def _unjudged(step: Step, sentence: str) -> Verdict:
    return Verdict(step.id, step.title, "fail", 0, step.points, sentence, hints=step.hints)
