"""What a module's answers are compared with: the solution's evidence under a seed, made once and kept closed.

The solution goes through the very sandbox and judge that submissions go through. Everything is below
build/grading/<module>, readable by the grader's user alone, and no sandbox of a learner's shows it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

import datasets
from grader.course import paths
from grader.course.notebook import read, role_of
from grader.judging import submission
from grader.judging.judge import Judges
from grader.judging.submission import Patience
from grader.sandbox.workbox import PACKAGES, prepare
from labs_lib import settings
from labs_lib.errors import LabsError
from labs_lib.registry import Module

# Of the grader, what collects, shows, builds, replays or proves: another version of it gives the same results.
WITHOUT_INFLUENCE = {
    *("classroom", "proof", "rehearsal", "cli.py", "console.py"),  # rooms, and files beside them
    *("course/build.py", "course/drift.py", "course/preprocessors.py"),
}


@dataclass(frozen=True)
class Reference:
    """The solution's evidence by step under `seed`, and what has to be there for it.

    `demos` are the sources of lesson cells that the exercises don't need.
    """

    seed: int
    course_tables: tuple[str, ...]
    data: tuple[Path, ...]
    evidence: Mapping[str, dict[str, Any]]
    demos: frozenset[str]


def folder(root: Path, module: str) -> Path:
    """The closed folder of a module's seed, reference and results; made if need be."""
    path = root / "build" / "grading" / module
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.chmod(0o700)
    return path


def seed_of(root: Path, module: str) -> int:
    """The module's grading seed, drawn at first need. Delete the file `seed` to draw anew, once learners saw feedback."""
    path = folder(root, module) / "seed"
    with filelock.FileLock(path.with_suffix(".lock")):
        if not path.exists():
            write(path, str(1 + secrets.randbelow(2**31 - 2)))  # never 0, which learners know
        return int(path.read_text())


def reference(
    root: Path, module: Module, seed: int, protected: bool, judges: Judges, patience: Patience
) -> Reference:
    """The module's reference under `seed`, made at first need by one process while others wait.

    Raises LabsError if the solution does not get full marks: then nothing should be graded.
    """
    source = paths.solution_file(root, module.name)
    if not source.is_file():
        raise LabsError(f"{source} does not exist; run `grader build {module.name}` before grading.")
    text = source.read_text(encoding="utf-8")
    tables = tuple(sorted(name for name in datasets.TABLES if re.search(rf"\b{name}\b", text)))
    feeds = [name for name in datasets.FEEDS if re.search(rf"\b{name}\b", text)]
    data = tuple(prepare(seed, [*tables, *feeds]))
    version = hashlib.sha256(f"{code_version()} {settings.scale()} {text}".encode()).hexdigest()[:16]
    path = folder(root, module.name) / f"reference-{seed}-{version}.json"
    nb = read(source)
    demos = frozenset(cell.source for cell in nb.cells if role_of(cell).kind == "demo")
    with filelock.FileLock(folder(root, module.name) / "reference.lock"):
        if not path.exists():
            with submission.run(nb, module, seed, data, protected, patience, demos) as ran:
                judged = judges.judge(ran, module, seed, None, tables, data, protected, patience)
            short = [verdict for verdict in judged.verdicts if not verdict.passed]
            if short:
                wrong = "; ".join(
                    f"{each.name}: {each.found}, not {each.expected}"
                    for each in short[0].findings
                    if not each.ok
                )
                raise LabsError(
                    f"Nothing was graded: the solution of {module.name} itself fails step {short[0].step} under seed "
                    f"{seed}: {short[0].sentence} {wrong} {' '.join(judged.problems)} ({ran.ended.sentence})"
                )
            write(path, json.dumps(judged.evidence))
        return Reference(seed, tables, data, json.loads(path.read_text()), demos)


@functools.cache
def code_version() -> str:
    """Digest of the code that runs and judges: another one may mean other results."""
    digest = hashlib.sha256()
    for package in ("labs_lib", "datasets", "grader"):
        for file in sorted((PACKAGES / package).rglob("*")):
            if file.suffix in {".py", ".toml", ".sha256"} and not (
                package == "grader" and WITHOUT_INFLUENCE & _names(file.relative_to(PACKAGES / package))
            ):
                digest.update(f"{file.relative_to(PACKAGES)}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def _names(file: Path) -> set[str]:
    return {file.as_posix(), *map(str, file.parents)}


def write(path: Path, text: str) -> None:
    """Write a file of the grader's own all at once, readable by its user alone."""
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, delete=False
    ) as new:  # mode 0600
        new.write(text)
    os.replace(new.name, path)
