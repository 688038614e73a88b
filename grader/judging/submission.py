"""Runs one submitted notebook in a sandbox and keeps what it left: evidence, tables, outputs. All of it is hostile data."""

from __future__ import annotations

import base64
import contextlib
import copy
import itertools
import os
import re
import stat
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
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
from labs_lib import registry
from labs_lib.errors import LabsError
from labs_lib.registry import Module

EXECUTED_BYTES = 256 * 2**20  # of the executed notebook's file
EVIDENCE_FILES, EVIDENCE_BYTES = 200, 32 * 2**20
TABLES = 60  # a module's own lessons make about a dozen
TABLE_FILES, TABLE_BYTES = 40_000, 2**30  # of all tables of a submission together
KEPT, KEPT_FILES, KEPT_BYTES = 100, 2_000, 256 * 2**20  # tables kept for plans; files and bytes of all

_BASE64 = re.compile(rb"[A-Za-z0-9+/]{16,}={0,2}")

# NameError's sentence, and Spark's for a table or view that is not there.
_MISSING = re.compile(r"name '(\w+)' is not defined|\[TABLE_OR_VIEW_NOT_FOUND\][^`]*`([^ ]+)`")


@dataclass(frozen=True)
class Patience:
    """How long things may take, in seconds of their own time (labs_lib.engine.clock)."""

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

    def take_tables(self, target: Path, answers: Collection[str], said: Iterable[bytes]) -> dict[str, str]:
        """Copy the learner's own tables to subfolders of the new folder `target`: those that are `answers`, then those that `said` names.

        All of them share one budget of files and bytes, by apparent size: a hole takes as much as what it stands for, once copied.
        Others stay behind, and course tables too: the judge lays fresh ones. Returns a sentence for each that was refused.
        """
        target.mkdir()
        refused: dict[str, str] = {}
        try:
            folder = _plain_folder(self.box.path, "workspace", self.module, "tables")
            names = sorted(os.listdir(folder))
        except (Rejected, OSError):
            return refused
        own = [
            name
            for name in names
            if re.fullmatch(r"[a-z_][a-z0-9_]{0,63}", name) and name not in datasets.TABLES
        ]
        named = _named(own, said)
        files, size = TABLE_FILES, TABLE_BYTES
        for name in [*(set(own) & set(answers)), *(name for name in named if name not in answers)][:TABLES]:
            try:
                took = self._take(("workspace", self.module, "tables", name), target / name, files, size)
                files, size = files - took[0], size - took[1]
            except Rejected as refusal:
                refused[name] = f"The table {name} was refused: {refusal}"
        return refused

    def take_kept(self, target: Path) -> list[str]:
        """Copy what the box kept for plans (labs_lib.checking.keep) to the new folder `target`; a sentence for what was refused.

        Rows and tables are `<step>/answers/<name>` and `<step>/tables/<database>/<table>`; they share one budget, too.
        """
        target.mkdir()
        refused: list[str] = []
        files, size = KEPT_FILES, KEPT_BYTES
        for parts in self._kept():
            place = target.joinpath(*parts)
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                took = self._take(("workspace", self.module, "kept", *parts), place, files, size)
                files, size = files - took[0], size - took[1]
            except Rejected as refusal:
                refused.append(f"What was kept as {'/'.join(parts)} was refused: {refusal}")
        return refused

    def _kept(self) -> Iterator[tuple[str, ...]]:
        """Places below `kept`, of the form that tables have there: plain names, no links on the way."""
        found: list[tuple[str, ...]] = []
        for step in registry.steps(registry.module(self.module)):
            for kind, depth in (("answers", 1), ("tables", 2)):
                level: list[tuple[str, ...]] = [(step.id, kind)]
                for _ in range(depth):
                    level = [(*parts, name) for parts in level for name in self._plain_names(parts)]
                found += level
        yield from found[:KEPT]

    def _plain_names(self, parts: Sequence[str]) -> list[str]:
        try:
            folder = _plain_folder(self.box.path, "workspace", self.module, "kept", *parts)
        except (Rejected, FileNotFoundError):
            return []
        with os.scandir(folder) as entries:
            names = [entry.name for entry in itertools.islice(entries, KEPT)]
        return sorted(name for name in names if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", name))

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

    def _take(self, parts: Sequence[str], target: Path, files: int, size: int) -> tuple[int, int]:
        try:
            source = _plain_folder(self.box.path, *parts)
        except FileNotFoundError:
            target.mkdir()
            return 0, 0
        return copy_regular(source, target, max_files=files, max_bytes=size)


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
            *(sys.executable, "-s", "-P", str(driver)),
            *(str(box.at / "submission.ipynb"), str(box.at / "executed.ipynb"), str(patience.cell)),
        ]
        ended = box.run(command, Limits(wall=patience.notebook), {"LABS_CAPTURE": "1"})
        if ended.reason == "machine":
            raise LabsError(
                f"{ended.sentence} So there is no result; grade it again when less runs beside it."
            )
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
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            raise
        except OSError as error:
            raise Rejected(f"{part} can't be read: {error.strerror}.") from None
        if stat.S_ISLNK(mode):
            raise Rejected(f"{part} is a symbolic link.")
        if not stat.S_ISDIR(mode):
            raise Rejected(f"{part} is not a folder.")
    return path


def _named(names: Sequence[str], said: Iterable[bytes]) -> list[str]:
    """Those of `names` that texts contain, as they are or in base64, as plans and views are kept."""
    left, found = dict.fromkeys(names), []
    for text in said:
        plain = b"\n".join([text, *map(_decoded, _BASE64.findall(text))]).lower()
        found += [name for name in left if name.encode() in plain]
        left = {name: None for name in left if name not in found}
    return sorted(found)


def _decoded(text: bytes) -> bytes:
    return base64.b64decode(text[: len(text) // 4 * 4])
