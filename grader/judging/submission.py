"""Runs one submitted notebook in a sandbox and keeps what it left: evidence, tables, outputs. All of it is hostile data."""

from __future__ import annotations

import contextlib
import copy
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

import datasets
from grader.judging import inside
from grader.sandbox.runner import Ended, Limits
from grader.sandbox.workbox import Workbox, workbox
from grader.vetting import Rejected, copy_regular, read_json
from labs_lib.registry import Module

EXECUTED_BYTES = 256 * 2**20  # of the executed notebook's file
EVIDENCE_FILES, EVIDENCE_BYTES = 200, 32 * 2**20
TABLES = 60  # a module's own lessons make about a dozen
TABLE_FILES, TABLE_BYTES = 20_000, 512 * 2**20

# NameError's sentence, and Spark's for a table or view that is not there.
_MISSING = re.compile(r"name '(\w+)' is not defined|\[TABLE_OR_VIEW_NOT_FOUND\][^`]*`([^ ]+)`")


@dataclass(frozen=True)
class Patience:
    """How long things may take, in seconds."""

    cell: int = 300
    notebook: float = 1800.0
    judging: float = 300.0  # one start of the judge
    step: float = 120.0  # of the judge's time


@dataclass(frozen=True)
class Ran:
    """A notebook that ran, in a box that is still there: how it ended and what the executed notebook file holds."""

    box: Workbox
    module: str
    ended: Ended
    executed: Any

    def take_evidence(self, target: Path) -> None:
        """Copy the evidence files to the new folder `target`; an empty one if there are none. Raises Rejected."""
        self._take(("workspace", self.module, "evidence"), target, EVIDENCE_FILES, EVIDENCE_BYTES)

    def take_tables(self, target: Path) -> dict[str, str]:
        """Copy the learner's own tables to subfolders of the new folder `target`.

        Course tables stay behind: the judge lays fresh ones. Returns a sentence for each that was refused.
        """
        target.mkdir()
        refused: dict[str, str] = {}
        try:
            folder = _plain_folder(self.box.path, "workspace", self.module, "tables")
        except (Rejected, FileNotFoundError):
            return refused
        names = sorted(entry.name for entry in folder.iterdir())
        own = [
            name
            for name in names
            if re.fullmatch(r"[a-z_][a-z0-9_]{0,63}", name) and name not in datasets.TABLES
        ]
        for name in own[:TABLES]:
            try:
                self._take(
                    ("workspace", self.module, "tables", name), target / name, TABLE_FILES, TABLE_BYTES
                )
            except Rejected as refusal:
                refused[name] = f"The table {name} was refused: {refusal}"
        return refused

    def misses_any_of(self, sources: Collection[str]) -> bool:
        """Whether a cell ended because of a name or a table that only code in `sources` speaks of."""
        words = {word for source in sources for word in re.findall(r"\w+", source)}
        return any(words & set(re.findall(r"\w+", error)) for error in self._missing_names())

    def _missing_names(self) -> Iterator[str]:
        cells = self.executed.get("cells") if isinstance(self.executed, dict) else None
        for cell in cells if isinstance(cells, list) else []:
            outputs = cell.get("outputs") if isinstance(cell, dict) else None
            for output in outputs if isinstance(outputs, list) else []:
                said = str(output.get("evalue", ""))[:2000] if isinstance(output, dict) else ""
                yield from (name or table for name, table in _MISSING.findall(said))

    def _take(self, parts: Sequence[str], target: Path, files: int, size: int) -> None:
        try:
            source = _plain_folder(self.box.path, *parts)
        except FileNotFoundError:
            target.mkdir()
            return
        copy_regular(source, target, max_files=files, max_bytes=size)


@contextlib.contextmanager
def run(
    nb: NotebookNode,
    module: Module,
    seed: int,
    data: Sequence[Path],
    protected: bool,
    patience: Patience,
    left_out: Collection[str] = (),
) -> Iterator[Ran]:
    """Run a notebook with SEED replaced; the box is there for as long as the block. Raises LabsError.

    `data` are folders of course tables under `seed`; code cells whose source is in `left_out` are not run. Whatever
    the notebook does, this returns.
    """
    driver = Path(inside.__file__).resolve()
    with workbox(data, [driver], protected) as box:
        nbformat.write(as_run(nb, seed, left_out), box.path / "submission.ipynb")
        command = [
            *(sys.executable, "-I", str(driver)),
            *(str(box.at / "submission.ipynb"), str(box.at / "executed.ipynb"), str(patience.cell)),
        ]
        ended = box.run(command, Limits(wall=patience.notebook), {"LABS_CAPTURE": "1"})
        try:
            executed = read_json(box.path / "executed.ipynb", EXECUTED_BYTES, 60)
        except Rejected:
            executed = None
        yield Ran(box, module.name, ended, executed)


def as_run(nb: NotebookNode, seed: int, left_out: Collection[str] = ()) -> NotebookNode:
    """A copy without outputs whose parameters cell sets `seed`; where that cell is gone, the first code cell begins with it.

    Cells that are left out stay in place, empty, so that cells and outputs keep their numbers.
    """
    fresh = copy.deepcopy(nb)
    code = [cell for cell in fresh.cells if cell.cell_type == "code"]
    for cell in code:
        cell.outputs, cell.execution_count = [], None
        if cell.source in left_out:
            cell.source = ""
    line = f"SEED = {seed}"
    named = [cell for cell in code if cell.metadata.get("nbgrader", {}).get("grade_id") == "parameters"]
    if named:
        named[0].source = line
    elif code:
        code[0].source = f"{line}\n{code[0].source}"
    return fresh


def _plain_folder(root: Path, *parts: str) -> Path:
    """A folder below `root` of which no part is a link: the run is over, so nothing can change any more.

    Raises FileNotFoundError if it is not there, Rejected if it is something else than folders.
    """
    path = root
    for part in parts:
        path = path / part
        if path.is_symlink():
            raise Rejected(f"{part} is a symbolic link.")
        if not path.exists():
            raise FileNotFoundError(path)
        if not path.is_dir():
            raise Rejected(f"{part} is not a folder.")
    return path
