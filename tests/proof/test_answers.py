"""Wrong answers lose the steps that their names say and no other; right ones that look different get full marks.

A file is named `<steps that it fails>-<what is wrong>.py`, steps separated by commas; it is run in place of the first step's answer.
In it, SOLUTION is the text of that step's own solution.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from grader.course import paths
from grader.course.build import parse
from grader.course.notebook import role_of
from labs_lib import registry, settings
from labs_lib.checking.checker import examine, expected_digests, judge, trials_of
from labs_lib.checking.evidence import capture
from labs_lib.checking.verdict import Verdict
from labs_lib.engine.session import changed_conf

HERE = Path(__file__).resolve().parents[1]
WRITTEN = [module for module in registry.modules() if module.written]
# What an answer uses up, and has to be laid again before the next one.
LAID_ANEW = {"1b.5": "table_with_a_past(lab, 'sales_retention')"}


def files(kind: str, module: str) -> list[Path]:
    return sorted((HERE / kind / module).glob("*.py"))


def steps_of(path: Path) -> list[str]:
    return path.stem.split("-")[0].split(",")


class Notebook:
    """A module's lessons with the solution of one exercise, run in this process; in that one's place single answers are then tried.

    Nothing builds on an exercise before: an untouched notebook runs to its end as well.
    """

    def __init__(self, exercise: registry.Exercise) -> None:
        module = registry.module_of(exercise.steps[0].id)
        cells = parse(paths.source_file(HERE.parent, module.name).read_text(encoding="utf-8"))
        own = {step.id for step in exercise.steps}
        self.answers: dict[str, str] = {}
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.conf: dict[str, dict[str, str]] = {}  # the session's settings as each answer met them
        for cell in cells:
            role = role_of(cell)
            other = role.kind in ("check", "demo") or (role.kind == "answer" and role.step not in own)
            if cell.cell_type != "code" or other:
                continue
            if role.kind == "answer":
                self.answers[role.step] = cell.source
                self.conf[role.step] = changed_conf(self.names["lab"].spark)
            exec(compile(cell.source, role.step or "lesson", "exec"), self.names)
            if self.answers.keys() == own:
                break
        self.lab = self.names["lab"]

    def restore_settings(self, step_id: str) -> None:
        now, wanted = changed_conf(self.lab.spark), self.conf[step_id]
        for name in now.keys() - wanted.keys():
            self.lab.spark.conf.unset(name)
        for name in (name for name, value in wanted.items() if now.get(name) != value):
            self.lab.spark.conf.set(name, wanted[name])

    def verdicts(self, code: str, step_id: str) -> list[Verdict]:
        """Verdicts on the step that the code answers, and on the steps that build on it with their own solutions."""
        self.restore_settings(step_id)
        names = dict(self.names)
        if step_id in LAID_ANEW:
            exec(LAID_ANEW[step_id], names)
        verdicts = []
        for step in registry.steps(registry.module_of(step_id)):
            if step.id == step_id or step_id in step.needs:
                solution = self.answers[step.id]
                names["SOLUTION"] = solution
                exec(compile(code if step.id == step_id else solution, step.id, "exec"), names)
                evidence = examine(step, capture(step, names, self.lab, trials_of(step, 0)), self.lab)
                verdicts.append(judge(step, evidence, expected_digests(step, 0)))
        return verdicts


@pytest.fixture(scope="module")
def notebook_of(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[registry.Exercise], Notebook]]:
    before = os.environ.get("LABS_WORKSPACE")
    os.environ["LABS_WORKSPACE"] = str(tmp_path_factory.mktemp("answers"))
    notebooks: dict[str, Notebook] = {}

    def open_exercise(exercise: registry.Exercise) -> Notebook:
        if exercise.id not in notebooks:
            notebooks[exercise.id] = Notebook(exercise)
        return notebooks[exercise.id]

    yield open_exercise
    os.environ.pop("LABS_WORKSPACE")
    if before is not None:
        os.environ["LABS_WORKSPACE"] = before
    assert settings.remote() is None


def cases() -> list[Any]:
    """Exercise by exercise: the Spark UI forgets what a notebook measured once another has run for a while."""
    return [
        pytest.param(
            *(kind, exercise, path),
            id=f"{kind}-{path.stem}",
            marks=pytest.mark.xdist_group(f"answers of {exercise.id}"),
        )
        for module in WRITTEN
        for exercise in module.exercises
        for kind in ("right", "wrong")
        for path in files(f"{kind}_answers", module.name)
        if registry.exercise_of(steps_of(path)[0]) == exercise
    ]


@pytest.mark.parametrize(("kind", "exercise", "path"), cases())
def test_a_wrong_answer_loses_exactly_the_steps_in_its_name_and_a_right_one_none(
    kind: str, exercise: registry.Exercise, path: Path, notebook_of: Callable[[registry.Exercise], Notebook]
) -> None:
    named = steps_of(path)
    verdicts = notebook_of(exercise).verdicts(path.read_text(encoding="utf-8"), named[0])
    lost = [verdict for verdict in verdicts if not verdict.passed]
    assert [verdict.step for verdict in lost] == (named if kind == "wrong" else []), "\n".join(
        map(repr, verdicts)
    )
    for verdict in lost:
        assert "can't be read" not in verdict.sentence, verdict.sentence
        assert verdict.findings, verdict.sentence


def test_every_step_has_wrong_answers_and_no_file_is_stray() -> None:
    known = {step.id for module in WRITTEN for step in registry.steps(module)}
    wrong = Counter(steps_of(path)[0] for module in WRITTEN for path in files("wrong_answers", module.name))
    right = Counter(steps_of(path)[0] for module in WRITTEN for path in files("right_answers", module.name))
    assert {step for step in known if wrong[step] < 3} == set(), "give each step three wrong answers"
    assert {step for step in known if right[step] < 1} == set(), (
        "give each step a right answer that looks different"
    )
    for kind in ("wrong_answers", "right_answers"):
        for path in (HERE / kind).rglob("*.py"):
            assert set(steps_of(path)) <= known, f"{path.name} names no step of a written module"
            assert path.parent.name == registry.module_of(steps_of(path)[0]).name
