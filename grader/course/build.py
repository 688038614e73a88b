"""From solutions/<m>/<m>.py to the instructor notebook beside it, and on to the learner's in modules/."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode

from grader.course import paths
from grader.course.notebook import BEGIN, END, PLAIN_ROLES, dumps, read, role_of
from labs_lib import registry
from labs_lib.errors import LabsError
from labs_lib.registry import Module

KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
# Pairs the two files in JupyterLab; nothing but tags reaches the .py, and no tool's version reaches either.
PAIRING = {
    "cell_metadata_filter": "tags,-all",
    "formats": "ipynb,py:percent",
    "notebook_metadata_filter": "kernelspec,jupytext,-jupytext.text_representation",
}
# What an executed notebook names instead of the temporary folder it ran in.
WORKSPACE_ALIAS = "/tmp/labs-workspace"


def build_solution(source: str, module: Module, previous: NotebookNode | None = None) -> NotebookNode:
    """Return the instructor notebook for a percent `source`, with outputs of `previous` where cells agree.

    Cell ids and metadata follow from the source and the registry alone. Raises LabsError with every
    departure from the registry's steps.
    """
    cells = parse(source)
    problems = structure_problems(cells, module)
    if problems:
        raise LabsError(f"solutions/{module.name}/{module.name}.py: {' '.join(problems)}")
    nb = nbformat.v4.new_notebook(metadata={"jupytext": dict(PAIRING), "kernelspec": dict(KERNELSPEC)})
    taken: Counter[str] = Counter()
    for cell in cells:
        tags = list(cell.metadata.get("tags", []))
        metadata: dict[str, Any] = {"tags": tags} if tags else {}
        grading = _nbgrader_metadata(cell, module, taken)
        if grading:
            metadata["nbgrader"] = grading
        cell.metadata = NotebookNode(metadata)
        cell.id = grading["grade_id"] if grading else _content_id(cell, taken)
        nb.cells.append(cell)
    if previous is not None:
        keep_outputs(nb, previous)
    return nbformat.from_dict(nb)


def parse(source: str) -> list[NotebookNode]:
    """Return the cells of a jupytext percent source, with their tags and nothing else in their metadata."""
    cells = []
    for cell in jupytext.reads(source, fmt="py:percent").cells:
        tags = cell.metadata.get("tags", [])
        new = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}.get(
            cell.cell_type, nbformat.v4.new_raw_cell
        )
        cells.append(new(cell.source, metadata={"tags": tags} if tags else {}))
    return cells


def canonical_source(nb: NotebookNode) -> str:
    """Return the percent text that JupyterLab's pairing writes for an instructor notebook."""
    return jupytext.writes(nb, fmt="py:percent")


def structure_problems(cells: Sequence[NotebookNode], module: Module) -> list[str]:
    """Return a sentence for each departure from the registry's steps, the known tags and solution regions."""
    problems = []
    wanted = [(kind, step.id) for step in registry.steps(module) for kind in ("answer", "check")]
    found = [(role.kind, role.step) for role in map(role_of, cells) if role.step]
    counts = Counter(found)
    for kind, step in wanted:
        if counts[kind, step] != 1:
            problems.append(f"Step {step} has {counts[kind, step]} {kind} cells; it needs exactly one.")
    unwritten = {step.id: exercise.id for exercise in module.to_come for step in exercise.steps}
    for kind, step in sorted(set(found) - set(wanted)):
        why = (
            f"exercise {unwritten[step]} is not yet written"
            if step in unwritten
            else f"{module.name} has no step {step}"
        )
        problems.append(f"There is a cell tagged {kind}:{step}, but {why}.")
    if not problems and found != wanted:
        first = next(
            f"{kind}:{step}" for (kind, step), want in zip(found, wanted, strict=True) if want != (kind, step)
        )
        problems.append(
            f"Cell {first} is out of order; steps go in the registry's order, each answer before its check."
        )
    if sum(role_of(cell).kind == "parameters" for cell in cells) != 1:
        problems.append('There must be exactly one cell tagged "parameters".')
    for number, cell in enumerate(cells, start=1):
        problems += _cell_problems(cell, number)
    return [*problems, *_promise_problems(cells, module)]


def _promise_problems(cells: Sequence[NotebookNode], module: Module) -> Iterator[str]:
    """The text says of each exercise that is not yet written that it is still to come, and of no other."""
    text = " ".join(" ".join(cell.source.split()) for cell in cells if cell.cell_type == "markdown")
    for exercise in module.exercises:
        if exercise.written and exercise.to_come in text:
            yield f"The text says {exercise.to_come!r}, but it is written; take the sentence out."
        if not exercise.written and exercise.to_come not in text:
            yield f"No Markdown cell says {exercise.to_come!r}; a learner has to know."


def _cell_problems(cell: NotebookNode, number: int) -> Iterator[str]:
    role = role_of(cell)
    tags = cell.metadata.get("tags", [])
    known = role.kind if role.kind in PLAIN_ROLES else f"{role.kind}:{role.step}"
    for tag in tags:
        if tag != known:
            yield f"Cell {number} has the tag {tag!r}; tags are parameters, setup, demo, answer:STEP, check:STEP."
    if role.kind and cell.cell_type != "code":
        yield f"Cell {number} is tagged {tags[0]} but is a {cell.cell_type} cell."
    if role.kind == "check" and cell.source.strip() != f'check("{role.step}")':
        yield f'The check cell of {role.step} must be exactly check("{role.step}").'
    marks = [
        line.strip()
        for line in cell.source.splitlines()
        if "BEGIN SOLUTION" in line or "END SOLUTION" in line
    ]
    if role.kind == "answer" and (not marks or marks != [BEGIN, END] * (len(marks) // 2)):
        yield f"The answer cell of {role.step} needs its solution between {BEGIN} and {END}."
    if role.kind != "answer" and marks:
        yield f"Cell {number} has a solution mark but no answer tag."


def _nbgrader_metadata(cell: NotebookNode, module: Module, taken: Counter[str]) -> dict[str, Any]:
    role = role_of(cell)
    if role.kind in ("", "demo"):
        return {}
    base: dict[str, Any] = {
        "grade": False,
        "locked": True,
        "schema_version": 3,
        "solution": False,
        "task": False,
    }
    if role.kind == "parameters":
        return {**base, "grade_id": "parameters"}
    if role.kind == "setup":
        taken["setup"] += 1
        return {**base, "grade_id": f"setup-{taken['setup']}"}
    grade_id = f"{role.kind}-{role.step.replace('.', '-')}"
    if role.kind == "answer":
        return {**base, "grade_id": grade_id, "locked": False, "solution": True}
    points = next(step.points for step in registry.steps(module) if step.id == role.step)
    return {**base, "grade_id": grade_id, "grade": True, "points": points}


def _content_id(cell: NotebookNode, taken: Counter[str]) -> str:
    digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
    taken[digest] += 1
    return f"cell-{digest}" + (f"-{taken[digest]}" if taken[digest] > 1 else "")


def keep_outputs(nb: NotebookNode, previous: NotebookNode) -> None:
    """Give each code cell of `nb` the outputs of the first unused cell of `previous` with the same source."""
    stored: defaultdict[str, list[NotebookNode]] = defaultdict(list)
    for cell in previous.cells:
        if cell.cell_type == "code":
            stored[cell.source].append(cell)
    for cell in nb.cells:
        if cell.cell_type == "code" and stored[cell.source]:
            old = stored[cell.source].pop(0)
            cell.outputs, cell.execution_count = old.outputs, old.execution_count


def write_solution(root: Path, module: Module) -> Path:
    """Write solutions/<m>/<m>.ipynb from the .py beside it and return its path; runs nothing.

    The .py is put into the layout JupyterLab's pairing writes, so that a save there changes nothing.
    """
    source = paths.source_file(root, module.name)
    if not source.is_file():
        raise LabsError(
            f"Module {module.name} has written exercises, but {source.relative_to(root)} does not exist."
        )
    path = paths.solution_file(root, module.name)
    text = source.read_text(encoding="utf-8")
    nb = build_solution(text, module, read(path) if path.is_file() else None)
    if (canonical := canonical_source(nb)) != text:
        replace(source, canonical)
    replace(path, dumps(nb))
    return path


def store_outputs(root: Path, module: Module, executed: NotebookNode, workspace: Path) -> None:
    """Store an `executed` copy's outputs in the instructor notebook, its `workspace` path made neutral."""
    path = paths.solution_file(root, module.name)
    nb = build_solution(paths.source_file(root, module.name).read_text(encoding="utf-8"), module)
    keep_outputs(nb, executed)
    text = dumps(nb).replace(str(workspace), WORKSPACE_ALIAS)
    replace(path, text)


def generate(root: Path, module: str) -> Path:
    """Run `nbgrader generate_assignment <module> --force` in `root` and return the learner notebook's path.

    nbgrader deletes the old learner notebook when it fails; it is put back then. Raises LabsError with what
    nbgrader said.
    """
    path = paths.learner_file(root, module)
    before = path.read_bytes() if path.is_file() else None
    with tempfile.TemporaryDirectory(prefix="labs-nbgrader-") as empty:
        # A personal nbgrader configuration must not change what everybody gets.
        env = {**os.environ, "JUPYTER_CONFIG_DIR": empty}
        command = [sys.executable, "-m", "nbgrader", "generate_assignment", module, "--force"]
        done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)
    if done.returncode or not path.is_file():
        if before is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(before)
        errors = [line for line in done.stderr.splitlines() if "ERROR" in line or "Error" in line]
        said = " / ".join(errors[-3:] or done.stderr.splitlines()[-3:])
        raise LabsError(f"nbgrader could not generate {module}: {said}")
    return path


def replace(path: Path, text: str) -> None:
    """Write `text` to `path` all at once: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", newline="\n", dir=path.parent, delete=False
    ) as new:
        new.write(text)
    os.chmod(new.name, 0o644)
    os.replace(new.name, path)
