"""One module through sandbox and judge under one seed, as `grader grade` takes it: everything, nothing, and part of the points.

The solution is not handed in: the reference that grading makes first *is* the solution in the sandbox, and there is none unless it
gets full marks. Beside it go the untouched notebook, which earns nothing, and a half-right one, whose answers and points
tests/half_right/<module>.toml states: of each step the solution's answer, with the text `old` replaced by `new` where there is one, what it is worth
then, and what a verdict has to say of it.
"""

from __future__ import annotations

import shutil
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from grader.course import paths
from grader.course.notebook import read, role_of
from grader.judging.grading import Graded, grade
from grader.judging.judge import Judges
from grader.judging.reference import folder, reference, write
from grader.judging.submission import Patience
from grader.sandbox.workbox import sandbox_is_wanted
from labs_lib import registry
from labs_lib.errors import LabsError
from labs_lib.registry import Module


@dataclass(frozen=True)
class Half:
    """One answer of the half-right notebook: the solution's, changed by a replacement if `old` is given."""

    step: str
    points: float
    old: str = ""
    new: str = ""
    told: str = ""  # what the verdict on a changed answer has to say


@dataclass(frozen=True)
class Boxed:
    """What the untouched, unless it was left out, and the half-right notebook got under `seed`, where the solution got everything.

    `problems` has a sentence for each verdict that is not what it should be: none if the module holds.
    """

    module: str
    seed: int
    untouched: Graded | None
    half: Graded
    problems: tuple[str, ...]


def grade_boxed(root: Path, module: Module, seed: int, with_untouched: bool = True) -> Boxed:
    """Grade the notebooks of a module of the course at `root`; nothing is kept there, and nothing that was kept is believed.

    Raises LabsError if there is no sandbox, no half-right notebook, or a solution that fails its own checks.
    """
    with tempfile.TemporaryDirectory(prefix="labs-proof-") as name:
        lay(root, module, seed, Path(name))
        return grade_laid(Path(name), module, seed, half_of(root, module), with_untouched)


def lay(root: Path, module: Module, seed: int, at: Path) -> None:
    """Make a course of one module in the folder `at`, from the notebooks at `root`, that is graded under `seed`."""
    for path in (
        root / "nbgrader_config.py",
        root / "labs_lib" / "registry.toml",
        paths.solution_file(root, module.name),
        paths.learner_file(root, module.name),
    ):
        target = at / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    write(folder(at, module.name) / "seed", str(seed))


def grade_laid(
    at: Path, module: Module, seed: int, half: Mapping[str, Half], with_untouched: bool = True
) -> Boxed:
    """The same for a course that `lay` made. What is made is kept there: `grader grade` at that place runs none of it again."""
    patience = Patience()
    untouched = read(paths.learner_file(at, module.name))
    with Judges() as judges:
        reference(at, module, seed, sandbox_is_wanted(), judges, patience)
        nothing = grade(at, module, untouched, judges, patience) if with_untouched else None
        part = grade(at, module, half_right(at, module, half), judges, patience)
    problems = (
        *(_problems("untouched", nothing, {}) if nothing else ()),
        *_problems("half-right", part, half),
    )
    return Boxed(module.name, seed, nothing, part, problems)


def half_of(root: Path, module: Module) -> dict[str, Half]:
    """The answers of a module's half-right notebook by step. Raises LabsError if they are not stated as they should be."""
    path = root / "tests" / "half_right" / f"{module.name}.toml"
    try:
        answers = [Half(**row) for row in tomllib.loads(path.read_text(encoding="utf-8"))["answers"]]
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise LabsError(
            f"{path} can't be read ({error}); state [[answers]] with step, points, and for one that is half right old, new and told."
        ) from None
    known = {step.id: step.points for step in registry.steps(module)}
    for answer in answers:
        if not 0 < answer.points <= known.get(answer.step, 0) or bool(answer.old) != bool(answer.told):
            raise LabsError(
                f"{path} gives {answer.points:g} points for {answer.step!r}, which is no half-right answer of {module.name}: "
                "name a step, points up to its own, and old, new and told together or not at all."
            )
    return {answer.step: answer for answer in answers}


def half_right(root: Path, module: Module, half: Mapping[str, Half]) -> NotebookNode:
    """The learner's notebook with those answers. Raises LabsError if a text that is to be replaced is not there."""
    solution = read(paths.solution_file(root, module.name))
    answers = {role.step: cell.source for cell in solution.cells if (role := role_of(cell)).kind == "answer"}
    nb = read(paths.learner_file(root, module.name))
    for cell in nb.cells:
        role = role_of(cell)
        if role.kind != "answer" or role.step not in half:
            continue
        answer = half[role.step]
        if answer.old not in answers[role.step]:
            raise LabsError(
                f"The solution of step {role.step} has no {answer.old!r} to replace; mend tests/half_right/{module.name}.toml."
            )
        cell.source = answers[role.step].replace(answer.old, answer.new) if answer.old else answers[role.step]
    return nb


def _problems(name: str, graded: Graded, half: Mapping[str, Half]) -> Iterator[str]:
    for verdict in graded.verdicts:
        wanted = half.get(verdict.step, Half(verdict.step, 0))
        said = " ".join(
            [verdict.sentence, *(f"{each.expected} {each.found}" for each in verdict.findings if not each.ok)]
        )
        if verdict.points != wanted.points:
            yield (
                f"Step {verdict.step} of the {name} notebook earned {verdict.points:g} of {verdict.max_points} points, "
                f"not {wanted.points:g}: {said} {' '.join(graded.notes)}"
            )
        elif wanted.told not in said:
            yield f"Step {verdict.step} of the {name} notebook should hear of {wanted.told!r}; it was told: {said}"
