"""Tests that take long and guard one room: `make prove` runs them when something that they depend on changed, and the ledger holds everybody to it.

A suite is a folder below tests/ of the room's name; those of its tests that are marked `ledger` stand in tests/proved.toml. Their digest
has the folder's files, the helpers beside it that these import, the room with all its files, what of the course's packages any of these
import, and the versions of the libraries that they try. Comments and docstrings are left out.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from importlib import metadata
from pathlib import Path

import grimp

from grader.proof.dependencies import ENGINE, file_of, without_comments


@dataclass(frozen=True)
class Suite:
    """A suite's room, what else of tests/ its tests read, and what they start in processes of their own."""

    room: str
    beside: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()


CLASSES = ("attacks/values", "values_course")
SUITES = {
    "engine": Suite("labs_lib.engine"),
    "driving": Suite("labs_lib.driving"),
    "patterns": Suite("labs_lib.patterns"),
    "cicd": Suite("labs_lib.cicd"),
    "workspace": Suite("labs_lib.workspace", ("attacks/sql_door",), ("labs_lib.cli",)),
    "rehearsal": Suite("grader.rehearsal"),
    "sandbox": Suite("grader.sandbox"),
    "judging": Suite("grader.judging", CLASSES),
    "classroom": Suite("grader.classroom", CLASSES, ("grader.cli",)),
}
PACKAGES = ("labs_lib", "datasets", "grader")
LIBRARIES = (
    *ENGINE,
    "databricks-sdk",
    "starlette",
    "uvicorn",
    "pydantic",
    "nbgrader",
    "nbconvert",
    "ipykernel",
)
NO_TESTS = 5  # pytest's exit code where a selection is empty


@dataclass(frozen=True)
class SuiteProof:
    """One suite's entry in the ledger: how many tests passed, in how many seconds of wall time on the machine that ran them."""

    digest: str
    proved: date
    tests: int
    seconds: int


def digest(root: Path, suite: str) -> str:
    """The digest of what a suite's verdict depends on, in 64 hexadecimal digits."""
    found = hashlib.sha256()
    for part in _parts(root, suite):
        found.update(part if isinstance(part, bytes) else part.encode())
        found.update(b"\0")
    return found.hexdigest()


def prove(root: Path, suite: str) -> SuiteProof | None:
    """Run a suite's tests, whose progress pytest prints; what to enter into the ledger, or None if a test failed."""
    before, began, passed = digest(root, suite), time.monotonic(), 0
    side_by_side = ("--numprocesses", "2", "--dist", "loadgroup", "--no-loadscope-reorder")
    with tempfile.TemporaryDirectory(prefix="labs-proof-") as name:
        report = Path(name, "report.xml")
        for which, options in (("ledger and not alone", side_by_side), ("ledger and alone", ())):
            line = ("pytest", "--quiet", f"tests/{suite}", "-m", which, f"--junitxml={report}", *options)
            ended = subprocess.run([sys.executable, "-m", *line], cwd=root).returncode
            if ended not in (0, NO_TESTS):
                return None
            if ended == 0:
                passed += sum(
                    int(each.get("tests", 0)) for each in ElementTree.parse(report).iter("testsuite")
                )
    if not passed or digest(root, suite) != before:
        return None
    return SuiteProof(before, date.today(), passed, round(time.monotonic() - began))


def _parts(root: Path, suite: str) -> Iterator[str | bytes]:
    yield from (f"{name} {metadata.version(name)}" for name in LIBRARIES)
    of, tests = SUITES[suite], root / "tests"
    folders = [tests / suite, *(tests / each for each in of.beside), file_of(root, of.room).parent]
    waiting = {path for folder in folders for path in folder.rglob("*") if path.is_file()}
    waiting = {path for path in waiting if path.suffix != ".pyc"} | {tests / "conftest.py"}
    files, names = set[Path](), set[str]()
    while waiting:
        names |= (found := {name for path in waiting for name in _imported(path)})
        files |= waiting
        waiting = {path for name in found if (path := _helper(tests, name)).is_file()} - files
    graph, names = _graph(), names.union(of.starts)
    start = {name for name in graph.modules if name in names or f"{name}.".startswith(f"{of.room}.")}
    files |= {
        file_of(root, name) for name in start.union(*(graph.find_upstream_modules(each) for each in start))
    }
    for path in sorted(files):
        yield path.relative_to(root).as_posix()
        yield (
            without_comments(path.read_text(encoding="utf-8")) if path.suffix == ".py" else path.read_bytes()
        )


@functools.cache
def _graph() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, cache_dir=None)


def _imported(path: Path) -> Iterator[str]:
    """All dotted names that a file imports; of `from a import b` both `a` and `a.b`, as `b` may be a module."""
    if path.suffix != ".py":
        return
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError:  # a test's broken notebook or answer
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{each.name}" for each in node.names))


def _helper(tests: Path, name: str) -> Path:
    """Where a helper of the tests would be that is imported by its name below tests/, or with `tests.` before it."""
    return tests.joinpath(*name.removeprefix("tests.").split(".")).with_suffix(".py")
