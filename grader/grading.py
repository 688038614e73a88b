"""Grades one submission, once: run, judged, and kept, so that grading it again only reads what is kept."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import nbformat
from nbformat import NotebookNode

from grader import judge, submission
from grader.judge import as_json, verdict_from
from grader.outputs import outputs_of
from grader.reference import code_version, folder, reference, seed_of, write
from grader.submission import Patience
from grader.workbox import sandbox_is_wanted
from labs_lib import registry
from labs_lib.registry import Module
from labs_lib.verdict import Verdict


@dataclass(frozen=True)
class Graded:
    """The result for one submission: a verdict per step, outputs per cell fit for feedback, and notes on the run."""

    verdicts: tuple[Verdict, ...]
    outputs: tuple[tuple[NotebookNode, ...], ...]
    notes: tuple[str, ...]


def grade(root: Path, module: Module, nb: NotebookNode, patience: Patience | None = None) -> Graded:
    """The result of a notebook under the module's grading seed, from the store if it is there.

    Raises LabsError if nothing can be graded here: no sandbox, no data, or a solution that fails its own checks.
    """
    patience = patience or Patience()
    seed = seed_of(root, module.name)
    place = folder(root, module.name) / "results"
    place.mkdir(exist_ok=True, mode=0o700)
    path = place / f"{_key(nb, module, seed, patience)}.json"
    with filelock.FileLock(path.with_suffix(".lock")):
        if not path.exists():
            write(path, json.dumps(_graded(root, module, nb, seed, patience)))
    stored = json.loads(path.read_text())
    steps = {step.id: step for step in registry.steps(module)}
    return Graded(
        tuple(verdict_from(raw, steps[raw["step"]]) for raw in stored["verdicts"]),
        tuple(tuple(nbformat.from_dict(output) for output in outputs) for outputs in stored["outputs"]),
        tuple(stored["notes"]),
    )


def _graded(root: Path, module: Module, nb: NotebookNode, seed: int, patience: Patience) -> dict[str, Any]:
    protected = sandbox_is_wanted()
    solution = reference(root, module, seed, protected, patience)
    with submission.run(nb, module, seed, solution.data, protected, patience) as ran:
        judged = judge.judge(
            ran, module, seed, solution.evidence, solution.course_tables, solution.data, protected, patience
        )
        notes = [*judged.problems] if ran.ended.returncode == 0 else [ran.ended.sentence, *judged.problems]
        return {
            "verdicts": [as_json(verdict) for verdict in judged.verdicts],
            "outputs": outputs_of(ran.executed, len(nb.cells)),
            "notes": notes,
            "seconds": ran.ended.seconds,
        }


def _key(nb: NotebookNode, module: Module, seed: int, patience: Patience) -> str:
    """Digest of all that a result depends on. Cell ids and metadata decide which cell is the parameters'."""
    cells = [[cell.cell_type, cell.source, cell.metadata.get("nbgrader"), cell.metadata.get("tags")] for cell in nb.cells]
    text = json.dumps([cells, module.name, seed, code_version(), repr(patience)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
