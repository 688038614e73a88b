"""The course's table of modules, exercises and steps, read from registry.toml beside this file.

Everything else follows it: notebooks are built against it, checks take points and hints from it, and
reports list it.
"""

from __future__ import annotations

import difflib
import functools
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from labs_lib.errors import LabsError

REGISTRY_FILE = Path(__file__).with_name("registry.toml")
STEPS_PER_EXERCISE = 5

Kind = Literal["table", "dataframe", "definition", "value", "file", "files", "run", "runs", "state"]
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True)
class Answer:
    """A name the learner's answer cell must produce, and what it must be; a lesson cell makes it where `given` is set.

    `patterns` say which files of a folder belong to an answer of kind `files`: paths below it, with `*`, `?` and `**` for any number of
    folders. `schema` names the JSON schema of an answer of kind `state`: `<schema>.json` in the folder `schemas` of the module's room.
    `follows` names the course table that the rows of a DataFrame or of measured runs have to come from: in grading their plans run on
    another draw of it too.
    """

    name: str
    kind: Kind
    type: str = ""
    digits: int = 6
    given: bool = False
    patterns: tuple[str, ...] = ()
    schema: str = ""
    follows: str = ""


@dataclass(frozen=True)
class Step:
    """One answer cell and one check cell, such as 1a.1."""

    id: str
    title: str
    points: int
    answers: tuple[Answer, ...] = ()
    hints: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    compare: tuple[str, ...] = ()
    conf: bool = False


@dataclass(frozen=True)
class Exercise:
    """Five steps under one heading, such as 1a; `written` says whether its content exists yet."""

    id: str
    title: str
    written: bool
    steps: tuple[Step, ...]

    @property
    def to_come(self) -> str:
        """The sentence by which a notebook says that this exercise is not yet written."""
        return f"Exercise {self.id} ({self.title}) is still to come."


@dataclass(frozen=True)
class Module:
    """One notebook, such as 01_optimization, with all its exercises, written or not."""

    name: str
    title: str
    exercises: tuple[Exercise, ...]

    @property
    def written(self) -> bool:
        """Whether there is a notebook: one of the exercises is written."""
        return any(exercise.written for exercise in self.exercises)

    @property
    def to_come(self) -> tuple[Exercise, ...]:
        """The exercises that are not yet written."""
        return tuple(exercise for exercise in self.exercises if not exercise.written)

    @property
    def unwritten(self) -> tuple[str, ...]:
        """What reports list as not yet written: nothing, single exercises, or the module as a whole."""
        if not self.written:
            return (self.name,)
        return tuple(f"{self.name} {exercise.id} ({exercise.title})" for exercise in self.to_come)


@dataclass(frozen=True)
class Registry:
    """The whole course, in order."""

    modules: tuple[Module, ...]


def load(path: Path | None = None) -> Registry:
    """Return the validated registry at `path` (the course's own by default), read once per path.

    Raises LabsError with one sentence if the file cannot be read or breaks a rule.
    """
    return _load((path or REGISTRY_FILE).resolve())


def modules(registry: Registry | None = None) -> tuple[Module, ...]:
    """Return every module, written or not, in course order."""
    return (registry or load()).modules


def module(name: str, registry: Registry | None = None) -> Module:
    """Return the module called `name`; raises LabsError naming the nearest if there is none."""
    known = {each.name: each for each in modules(registry)}
    if name not in known:
        raise LabsError(f"There is no module {name!r}{_nearest(name, known)}.")
    return known[name]


def room(module_name: str) -> str:
    """Return the name of a module's room in `labs_lib`, which is the module's without its number: `patterns` of `02_patterns`."""
    return module_name.split("_", 1)[1]


def steps(of: Module | Registry) -> Iterator[Step]:
    """Yield the steps of a module or of the whole course that are written, in order."""
    for each in of.modules if isinstance(of, Registry) else (of,):
        for exercise in each.exercises:
            if exercise.written:
                yield from exercise.steps


def step(step_id: str, registry: Registry | None = None) -> Step:
    """Return the step with this id ("1a.1"), written or not; raises LabsError listing the nearest ids if there is none."""
    known = {each.id: each for m in modules(registry) for e in m.exercises for each in e.steps}
    if step_id not in known:
        raise LabsError(f"There is no step {step_id!r}{_nearest(str(step_id), known)}.")
    return known[step_id]


def exercise_of(step_id: str, registry: Registry | None = None) -> Exercise:
    """Return the exercise a step belongs to; raises LabsError if the step is unknown."""
    wanted = step(step_id, registry).id
    return next(e for m in modules(registry) for e in m.exercises for s in e.steps if s.id == wanted)


def module_of(step_id: str, registry: Registry | None = None) -> Module:
    """Return the module a step belongs to; raises LabsError if the step is unknown."""
    wanted = exercise_of(step_id, registry)
    return next(m for m in modules(registry) if wanted in m.exercises)


@functools.cache
def _load(path: Path) -> Registry:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise LabsError(f"The registry {path} cannot be read: {error}.") from error
    try:
        registry = Registry(tuple(_module(row) for row in table.get("modules", [])))
        _validate(registry)
    except LabsError as error:
        raise LabsError(f"{path.name}: {error}") from None
    return registry


def _module(row: dict[str, Any]) -> Module:
    name = str(row.get("name", "?"))
    keys = {"name", "title", "exercises"}
    _keys(row, keys, keys, f"module {name}")
    return Module(name, row["title"], tuple(_exercise(each) for each in row["exercises"]))


def _exercise(row: dict[str, Any]) -> Exercise:
    where = f"exercise {row.get('id', '?')}"
    keys = {"id", "title", "written", "steps"}
    _keys(row, keys, keys, where)
    if not isinstance(row["written"], bool):
        raise LabsError(f"{where} has written = {row['written']!r}; it is true or false.")
    return Exercise(row["id"], row["title"], row["written"], tuple(_step(each) for each in row["steps"]))


def _step(row: dict[str, Any]) -> Step:
    where = f"step {row.get('id', '?')}"
    optional = {"answers", "hints", "needs", "compare", "conf"}
    _keys(row, {"id", "title", "points"}, {"id", "title", "points"} | optional, where)
    for answer in row.get("answers", []):
        _keys(
            answer,
            {"name", "kind"},
            {"name", "kind", "type", "digits", "given", "patterns", "schema", "follows"},
            f"an answer of {where}",
        )
    return Step(
        id=row["id"],
        title=row["title"],
        points=row["points"],
        answers=tuple(
            Answer(**{**answer, "patterns": tuple(answer.get("patterns", []))})
            for answer in row.get("answers", [])
        ),
        conf=row.get("conf", False),
        **{key: tuple(row.get(key, [])) for key in ("hints", "needs", "compare")},
    )


def _keys(row: dict[str, Any], required: set[str], allowed: set[str], where: str) -> None:
    for key in sorted(required - row.keys()):
        raise LabsError(f"{where} has no {key!r}; add it.")
    for key in sorted(row.keys() - allowed):
        raise LabsError(f"{where} has an unknown key {key!r}; allowed are {', '.join(sorted(allowed))}.")


def _validate(registry: Registry) -> None:
    seen: set[str] = set()
    for number, each in enumerate(registry.modules, start=1):
        if not re.fullmatch(rf"{number:02d}_[a-z][a-z0-9_]*", each.name):
            raise LabsError(f"module {number} is called {each.name!r}; call it {number:02d}_something.")
        if not each.exercises:
            raise LabsError(f"module {each.name} has no exercise.")
        earlier: dict[str, bool] = {}
        for letter, exercise in zip("abcdefgh", each.exercises, strict=False):
            if exercise.id != f"{number}{letter}":
                raise LabsError(f"exercise {exercise.id!r} of {each.name} is where {number}{letter} belongs.")
            if len(exercise.steps) != STEPS_PER_EXERCISE:
                raise LabsError(
                    f"exercise {exercise.id} has {len(exercise.steps)} steps, not {STEPS_PER_EXERCISE}."
                )
            for place, item in enumerate(exercise.steps, start=1):
                if item.id in seen:
                    raise LabsError(f"step {item.id} is there twice.")
                if item.id != f"{exercise.id}.{place}":
                    raise LabsError(f"step {item.id!r} is where {exercise.id}.{place} belongs.")
                _validate_step(item, exercise.written, earlier)
                seen.add(item.id)
                earlier[item.id] = exercise.written


def _validate_step(item: Step, written: bool, earlier: dict[str, bool]) -> None:
    """`earlier` has the steps before this one in its module, and whether each is written."""
    if not item.title:
        raise LabsError(f"step {item.id} has no title.")
    if isinstance(item.points, bool) or not isinstance(item.points, int) or item.points <= 0:
        raise LabsError(f"step {item.id} is worth {item.points!r}; points are a whole number above 0.")
    if written and not item.answers:
        raise LabsError(
            f"step {item.id} of a written exercise has no answer; list what its cell must produce."
        )
    if written and not 2 <= len(item.hints) <= 3:
        raise LabsError(f"step {item.id} of a written exercise has {len(item.hints)} hints; give 2 or 3.")
    names = [answer.name for answer in item.answers]
    for answer in item.answers:
        if answer.kind not in KINDS:
            raise LabsError(f"step {item.id} answers with a {answer.kind!r}; kinds are {', '.join(KINDS)}.")
        if not answer.name.isidentifier() or names.count(answer.name) > 1:
            raise LabsError(f"step {item.id} has an answer {answer.name!r}; use Python names, each once.")
        for kind, key, given in (("files", "patterns", answer.patterns), ("state", "schema", answer.schema)):
            if bool(given) != (answer.kind == kind):
                raise LabsError(
                    f"step {item.id}: {answer.name!r} is of kind {answer.kind!r}; {key!r} is for {kind!r}, which needs it."
                )
        if answer.follows and answer.kind not in {"dataframe", "runs"}:
            raise LabsError(
                f"step {item.id}: {answer.name!r} is of kind {answer.kind!r}; 'follows' is for a dataframe and for runs, which are plans."
            )
    for need in item.needs:
        if need not in earlier:
            raise LabsError(f"step {item.id} needs {need!r}, which is no earlier step of its module.")
        if written and not earlier[need]:
            raise LabsError(f"step {item.id} needs {need!r}, whose exercise is not yet written.")
    for name in item.compare:
        if name not in names:
            raise LabsError(f"step {item.id} compares {name!r}, which is not among its answers.")


def _nearest(wanted: str, known: dict[str, Any]) -> str:
    close = difflib.get_close_matches(wanted, known, n=3, cutoff=0.4) or sorted(known)[:3]
    return f"; the nearest are {', '.join(close)}" if close else ""
