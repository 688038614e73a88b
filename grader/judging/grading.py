"""Grades one submission, once: run, judged, and kept, so that grading it again only reads what is kept."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import filelock
import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_raw_cell

from grader.course import paths
from grader.course.notebook import read
from grader.judging import remarks, submission
from grader.judging.judge import Judges, as_json, verdict_from
from grader.judging.reference import code_version, folder, reference, seed_of, write
from grader.judging.submission import Patience
from grader.sandbox.runner import Ended
from grader.sandbox.workbox import sandbox_is_wanted
from grader.vetting.files import shown
from grader.vetting.outputs import outputs_of
from labs_lib import registry, settings
from labs_lib.checking.verdict import Verdict
from labs_lib.registry import Module


@dataclass(frozen=True)
class Graded:
    """The result for one submission: a verdict per step, outputs per cell fit for feedback, notes, and wall seconds."""

    verdicts: tuple[Verdict, ...]
    outputs: tuple[tuple[NotebookNode, ...], ...]
    notes: tuple[str, ...]
    seconds: float


def grade(
    root: Path, module: Module, nb: NotebookNode, judges: Judges, patience: Patience | None = None
) -> Graded:
    """The result of a notebook under the module's grading seed, from the store if it is there.

    Raises LabsError if nothing can be graded here: no sandbox, no data, or a solution that fails its own checks.
    """
    patience = patience or Patience()
    seed = seed_of(root, module.name)
    own = restored(nb, read(paths.solution_file(root, module.name)))
    path = result_file(root, module, own, seed, patience)
    with filelock.FileLock(path.with_suffix(".lock")):
        if not path.exists():
            write(path, json.dumps(_graded(root, module, own, seed, judges, patience)))
    stored = json.loads(path.read_text())
    steps = {step.id: step for step in registry.steps(module)}
    return Graded(
        tuple(verdict_from(raw, steps[raw["step"]]) for raw in stored["verdicts"]),
        tuple(tuple(nbformat.from_dict(output) for output in outputs) for outputs in stored["outputs"]),
        tuple(stored["notes"]),
        float(stored["seconds"]),
    )


def restored(nb: NotebookNode, solution: NotebookNode) -> NotebookNode:
    """A submission as it is run: the assignment's locked cells as the assignment has them, and no other word on what a cell is.

    Of cells with the same id the last one counts, as in nbgrader's DeduplicateIds; the others are ordinary cells.
    """
    given = {cell.metadata.nbgrader.grade_id: cell for cell in solution.cells if "nbgrader" in cell.metadata}
    fresh = nbformat.v4.new_notebook(metadata=solution.metadata)
    for cell in reversed(nb.cells):
        grading = cell.metadata.get("nbgrader")
        name = grading.get("grade_id") if isinstance(grading, dict) else None
        own = given.pop(name, None) if isinstance(name, str) else None
        kind = own.cell_type if own else cell.cell_type
        make = {"code": new_code_cell, "markdown": new_markdown_cell}.get(kind, new_raw_cell)
        source = own.source if own and own.metadata.nbgrader.locked else cell.source
        fresh.cells.insert(0, make(source, metadata={"nbgrader": own.metadata.nbgrader} if own else {}))
    return fresh


def result_file(root: Path, module: Module, own: NotebookNode, seed: int, patience: Patience) -> Path:
    """Where the result of a restored submission is kept: named by a digest of all that the result depends on."""
    cells = [
        [cell.cell_type, cell.source, cell.metadata.get("nbgrader", {}).get("grade_id")] for cell in own.cells
    ]
    text = json.dumps(
        [cells, module.name, seed, settings.scale(), code_version(), repr(patience)], sort_keys=True
    )
    place = folder(root, module.name) / "results"
    place.mkdir(exist_ok=True, mode=0o700)
    return place / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


def _graded(
    root: Path, module: Module, nb: NotebookNode, seed: int, judges: Judges, patience: Patience
) -> dict[str, Any]:
    protected = sandbox_is_wanted()
    solution = reference(root, module, seed, protected, judges, patience)
    began = time.monotonic()
    for left_out in (solution.demos, frozenset[str]()):
        with submission.run(nb, module, seed, solution.data, protected, patience, left_out) as ran:
            if ran.misses_any_of(left_out):
                continue  # an answer builds on a lesson: once more, with all of the lessons
            judged = judges.judge(
                ran,
                module,
                seed,
                solution.evidence,
                solution.course_tables,
                solution.data,
                protected,
                patience,
            )
            there = {cell.metadata.nbgrader.grade_id for cell in nb.cells if "nbgrader" in cell.metadata}
            verdicts = [_if_checked(verdict, there) for verdict in judged.verdicts]
            verdicts = remarks.explained(verdicts, nb, ran.executed)
            problems = [*remarks.remarks(nb, ran.executed), *judged.problems]
            notes = problems if ran.ended.returncode == 0 else [_how(ran.ended), *problems]
            return {
                "verdicts": [as_json(verdict) for verdict in verdicts],
                "outputs": outputs_of(ran.executed, len(nb.cells)),
                "notes": notes,
                "seconds": time.monotonic() - began,
            }
    raise AssertionError("a run with all cells misses none that were left out")


def _if_checked(verdict: Verdict, there: Collection[str]) -> Verdict:
    """No points where the check cell is gone: nbgrader has nowhere to put them."""
    if f"check-{verdict.step.replace('.', '-')}" in there:
        return verdict
    sentence = "The check cell of this step is not in the notebook, so there are no points."
    return replace(verdict, status="fail", points=0.0, sentence=sentence, findings=())


def _how(ended: Ended) -> str:
    last = ended.output.strip().splitlines()[-1:] if ended.reason == "ended" else []
    return " ".join([ended.sentence, *(shown(line, 300) for line in last)])
