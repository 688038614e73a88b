"""The drift gate: what is committed must be what building it again gives."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nbformat import NotebookNode

from grader.course import build, paths
from grader.course.notebook import BEGIN, END, complaint, dumps, place_of, read, role_of, verdict_in
from labs_lib import registry
from labs_lib.errors import LabsError
from labs_lib.registry import Module

TELLING = 15  # a solution line of fewer characters may stand in a lesson by chance
IGNORED = {".ipynb_checkpoints", "__pycache__"}


def drift(root: Path) -> list[str]:
    """Return a sentence for every way the committed notebooks differ from a fresh build; none means none.

    Nothing in `root` is changed. Outputs are not compared here (that is the replay's work), but an instructor
    notebook must hold those of a full-mark run.
    """
    found = list(stray_files(root))
    with tempfile.TemporaryDirectory(prefix="labs-drift-") as folder:
        for module in paths.registry_of(root).modules:
            if module.written:
                found += module_drift(root, module, Path(folder).resolve())
    return found


def stray_files(root: Path) -> Iterator[str]:
    """Yield a sentence for each file in solutions/ and modules/ that no written module accounts for."""
    wanted: set[Path] = set()
    for module in paths.registry_of(root).modules:
        if module.written:
            wanted |= {where(root, module.name) for where in (paths.source_file, paths.solution_file)}
            wanted.add(paths.learner_file(root, module.name))
    for top in ("solutions", "modules"):
        for path in sorted((root / top).rglob("*")):
            inside = path.relative_to(root)
            if path.is_file() and path not in wanted and not IGNORED & set(inside.parts):
                yield f"{inside} belongs to no written module of the registry; remove it."


def module_drift(root: Path, module: Module, scratch: Path) -> list[str]:
    """Return the sentences for one written module; `scratch` is an empty folder to build in."""
    source = paths.source_file(root, module.name)
    if not source.is_file():
        return [f"{source.relative_to(root)} does not exist, but the registry says {module.name} is written."]
    try:
        fresh = build.build_solution(source.read_text(encoding="utf-8"), module)
        learner = _learner_bytes(root, module.name, fresh, scratch)
    except LabsError as error:
        return [str(error)]
    found = []
    if build.canonical_source(fresh) != source.read_text(encoding="utf-8"):
        found.append(f"{source.relative_to(root)} is not laid out as jupytext does it; run `grader build`.")
    solution = paths.solution_file(root, module.name)
    if solution.is_file():
        committed = read(solution)
        found += _differences(root, module, committed, fresh)
        found += [f"{solution.relative_to(root)}: {each}" for each in output_problems(committed, module)]
    else:
        found.append(f"{solution.relative_to(root)} does not exist; run `grader build {module.name}`.")
    path = paths.learner_file(root, module.name)
    if not path.is_file():
        found.append(f"{path.relative_to(root)} does not exist; run `grader build {module.name}`.")
    else:
        if path.read_bytes() != learner:
            found.append(
                f"{path.relative_to(root)} is not what nbgrader generates; run `grader build {module.name}`."
            )
        found += [f"{path.relative_to(root)} {each}" for each in leaks(root, module, read(path), fresh)]
    found += expected_problems(root, module)
    return found


def _learner_bytes(root: Path, module: str, fresh: NotebookNode, scratch: Path) -> bytes:
    shutil.copyfile(root / "nbgrader_config.py", scratch / "nbgrader_config.py")
    build.replace(paths.solution_file(scratch, module), dumps(fresh))
    return build.generate(scratch, module).read_bytes()


def _differences(root: Path, module: Module, committed: NotebookNode, fresh: NotebookNode) -> Iterator[str]:
    where = paths.solution_file(root, module.name).relative_to(root)
    advice = f"run `grader build {module.name}`."
    if committed.metadata != fresh.metadata or committed.nbformat_minor != fresh.nbformat_minor:
        yield f"{where}: the notebook's metadata differs from a fresh build; {advice}"
    if len(committed.cells) != len(fresh.cells):
        yield f"{where} has {len(committed.cells)} cells, a fresh build {len(fresh.cells)}; {advice}"
        return
    for index, (old, new) in enumerate(zip(committed.cells, fresh.cells, strict=True)):
        for key in ("cell_type", "source", "metadata", "id"):
            if old.get(key) != new[key]:
                place = place_of(fresh.cells, index, module)
                yield f"{place}: {key} in {where} differs from the .py; {advice}"


def output_problems(nb: NotebookNode, module: Module) -> Iterator[str]:
    """Yield a sentence for each stored output a full-mark run would not leave or nbval cannot compare."""
    steps = {step.id: step for step in registry.steps(module)}
    for index, cell in enumerate(nb.cells):
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        place = place_of(nb.cells, index, module)
        role = role_of(cell)
        if cell.execution_count is None:
            yield f"{place}: the cell was never executed; run `grader build {module.name}`."
        elif (
            role.kind == "check"
            and (step := steps.get(role.step))
            and (sentence := complaint(verdict_in(cell.outputs), step))
        ):
            yield f"{place}: {sentence}."
        for output in cell.outputs:
            if output.output_type == "error":
                yield f"{place}: the stored output is an error, {output.ename}."
            data = output.get("data", {})
            if "image/png" in data and re.fullmatch(r"<Figure .*>|", data.get("text/plain", "")):
                yield f"{place}: the plot has no text summary, so a replay would compare nothing of it."


def solution_lines(fresh: NotebookNode) -> set[str]:
    """Return the lines, whitespace normalised, that stand inside solution regions and nowhere else."""
    inside: set[str] = set()
    outside: list[str] = []
    for cell in fresh.cells:
        within = False
        for line in cell.source.splitlines():
            plain = " ".join(line.split())
            if plain in (BEGIN, END):
                within = plain == BEGIN
            elif within:
                inside.add(plain)
            else:
                outside.append(plain)
    text = "\n".join(outside)
    return {line for line in inside if len(line) >= TELLING and line not in text}


def leaks(root: Path, module: Module, learner: NotebookNode, fresh: NotebookNode) -> Iterator[str]:
    """Yield a sentence for each thing in a learner notebook that gives an answer away."""
    text = "\n".join(" ".join(line.split()) for cell in learner.cells for line in cell.source.splitlines())
    for line in sorted(solution_lines(fresh)):
        if line in text:
            yield f"shows a line of the solution: {line}"
    if any(cell.get("outputs") or cell.get("execution_count") for cell in learner.cells):
        yield "has outputs; learners start from none."
    whole = dumps(learner)
    for step, digests in _expected(root, module).items():
        for name, digest in digests.items():
            if digest in whole:
                yield f"holds the expected digest of {name} in step {step}."


def expected_problems(root: Path, module: Module) -> Iterator[str]:
    """Yield a sentence for each compared answer without a digest, and each digest without a step."""
    stored = _expected(root, module)
    where = paths.expected_file(root, module.name).relative_to(root)
    steps = {step.id: step for step in registry.steps(module)}
    for step in steps.values():
        for name in step.compare:
            if name not in stored.get(step.id, {}):
                yield f"{where} has no digest of {name} in {step.id}; run `grader expected {module.name}`."
    for name in sorted(stored.keys() - steps.keys()):
        yield f"{where} has digests for {name}, which is no written step of {module.name}."


def _expected(root: Path, module: Module) -> dict[str, dict[str, str]]:
    path = paths.expected_file(root, module.name)
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
