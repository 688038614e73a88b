"""Answers whose worth is known: wrong ones lose the steps that their names say and no other, right ones that look different lose none.

An answer is a file `tests/wrong_answers/<module>/<steps that it fails>-<what is wrong>.py`, steps separated by commas, or one in
`tests/right_answers/`; it is run in place of its first step's answer. In it, SOLUTION is the text of that step's own solution.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from grader.course import paths
from grader.course.build import parse
from grader.course.notebook import role_of
from grader.rehearsal.execute import fresh_workspace
from labs_lib import registry
from labs_lib.checking.checker import examine, judge
from labs_lib.checking.evidence import capture
from labs_lib.checking.verdict import Verdict
from labs_lib.engine.session import changed_conf
from labs_lib.errors import LabsError
from labs_lib.registry import Exercise, Step

# What an answer uses up, and has to be laid again before the next one.
LAID_ANEW = {"1b.5": "table_with_a_past(lab, 'sales_retention')"}
# The share of its usual size at which all of an exercise's effects hold; tried under the seeds in tests/proved.toml.
SCALES = {"1b": 1.0}
USUAL_SCALE = 0.3


@dataclass(frozen=True)
class Answer:
    """An answer of known worth. `fails` are the steps that it loses; `step` is the one whose place it takes."""

    path: Path
    kind: Literal["wrong", "right"]
    step: str
    fails: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.kind}: {self.path.stem}"


def scale_of(exercise: Exercise) -> float:
    """The share of the usual size of its tables in which an exercise is proved."""
    return SCALES.get(exercise.id, USUAL_SCALE)


def answers(root: Path, exercise: Exercise) -> tuple[Answer, ...]:
    """All answers of known worth to an exercise's steps, in the order of their names, right ones first."""
    module = registry.module_of(exercise.steps[0].id, paths.registry_of(root))
    return tuple(each for each in of_module(root, module.name) if each.step.split(".")[0] == exercise.id)


def of_module(root: Path, module: str) -> Iterator[Answer]:
    """The answers of known worth in a module's folders, whatever steps they name."""
    for kind, folder in (("right", "right_answers"), ("wrong", "wrong_answers")):
        for path in sorted((root / "tests" / folder / module).glob("*.py")):
            steps = tuple(path.stem.split("-")[0].split(","))
            yield Answer(
                path, "right" if kind == "right" else "wrong", steps[0], () if kind == "right" else steps
            )


class Rehearsal:
    """A module's lessons with the solution of one exercise, run in this process; in that one's place single answers are then tried.

    Nothing builds on an exercise before: an untouched notebook runs to its end as well. The solution's own digests are what answers
    are compared with, so any seed and scale will do. Raises LabsError if the solution does not solve a step.
    """

    def __init__(self, root: Path, exercise: Exercise, seed: int) -> None:
        module = registry.module_of(exercise.steps[0].id, paths.registry_of(root))
        self.seed = seed
        self._steps = {step.id: step for step in exercise.steps}
        self._solutions: dict[str, str] = {}
        self._expected: dict[str, dict[str, str]] = {}
        self._names: dict[str, Any] = {"__name__": "__main__"}
        self._fresh: dict[str, str] | None = None  # the session's settings before any lesson
        self._conf: dict[str, dict[str, str]] = {}  # and as each answer met them
        for cell in parse(paths.source_file(root, module.name).read_text(encoding="utf-8")):
            role = role_of(cell)
            other = role.kind in ("check", "demo") or (role.kind == "answer" and role.step not in self._steps)
            if cell.cell_type != "code" or other:
                continue
            if role.kind == "answer":
                self._solutions[role.step] = cell.source
                self._conf[role.step] = changed_conf(self._names["lab"].spark)
            exec(compile(cell.source, role.step or "lesson", "exec"), self._names)
            if self._fresh is None and "lab" in self._names:
                self._fresh = changed_conf(self._names["lab"].spark)
            if role.kind == "parameters":
                self._names["SEED"] = seed
            if role.kind == "answer":
                self._keep(self._steps[role.step])
            if self._solutions.keys() == self._steps.keys():
                break

    def _keep(self, step: Step) -> None:
        lab = self._names["lab"]
        names = self._names | {"In": [_as_cell(step, self._solutions[step.id])]}
        evidence = examine(step, capture(step, names, lab), lab)
        verdict = judge(step, evidence, evidence.digests)
        if not verdict.passed:
            raise LabsError(f"The solution does not solve {step.id} under seed {self.seed}: {verdict}")
        self._expected[step.id] = dict(evidence.digests)

    def verdicts(self, answer: Answer) -> list[Verdict]:
        """Verdicts on the step that the answer takes the place of, and on the steps that build on it with their own solutions."""
        code = answer.path.read_text(encoding="utf-8")
        self._restore_settings(self._conf[answer.step])
        lab, names, verdicts = self._names["lab"], dict(self._names), []
        if answer.step in LAID_ANEW:
            exec(LAID_ANEW[answer.step], names)
        for step in self._steps.values():
            if step.id == answer.step or answer.step in step.needs:
                names["SOLUTION"] = solution = self._solutions[step.id]
                text = code if step.id == answer.step else solution
                exec(compile(text, answer.path.stem if text is code else step.id, "exec"), names)
                names["In"] = [_as_cell(step, f"SOLUTION = {solution!r}\n{text}")]
                evidence = examine(step, capture(step, names, lab), lab)
                verdicts.append(judge(step, evidence, self._expected[step.id]))
        return verdicts

    def close(self) -> None:
        """Leave the session's settings as they were before: the next rehearsal in this process is on the same session."""
        if self._fresh is not None:
            self._restore_settings(self._fresh)

    def _restore_settings(self, wanted: dict[str, str]) -> None:
        conf, now = self._names["lab"].spark.conf, changed_conf(self._names["lab"].spark)
        for name in now.keys() - wanted.keys():
            conf.unset(name)
        for name in (name for name, value in wanted.items() if now.get(name) != value):
            conf.set(name, wanted[name])


def _as_cell(step: Step, text: str) -> str:
    """An answer as a notebook's cell in which each definition of the step is seen to be one, even if the text runs the solution's."""
    return "\n".join(
        [text, *(f"{each.name} = {each.name}" for each in step.answers if each.kind == "definition")]
    )


@contextlib.contextmanager
def rehearsal(root: Path, exercise: Exercise, seed: int) -> Iterator[Rehearsal]:
    """A rehearsal in a workspace of its own and in the scale at which the exercise is proved; both end with the block."""
    before = {name: os.environ.get(name) for name in ("LABS_WORKSPACE", "LABS_SCALE")}
    with fresh_workspace() as workspace:
        os.environ |= {"LABS_WORKSPACE": str(workspace), "LABS_SCALE": str(scale_of(exercise))}
        try:
            with contextlib.closing(Rehearsal(root, exercise, seed)) as opened:
                yield opened
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name)
                else:
                    os.environ[name] = value


def complaint(answer: Answer, verdicts: Sequence[Verdict]) -> str | None:
    """What is wrong with how an answer was judged, or None if it lost what its name says and was told why."""
    lost = [verdict for verdict in verdicts if not verdict.passed]
    found = ", ".join(verdict.step for verdict in lost) or "none"
    if [verdict.step for verdict in lost] != list(answer.fails):
        said = " ".join(repr(verdict) for verdict in lost or verdicts)
        return f"{answer.name} loses {found}, and should lose {', '.join(answer.fails) or 'none'}: {said}"
    for verdict in lost:
        if "can't be read" in verdict.sentence or not verdict.findings:
            return f"{answer.name} loses {verdict.step} without a finding that says why: {verdict.sentence}"
    return None
