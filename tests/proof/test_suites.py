"""Suites of long tests: each is run again when something changed that it depends on, and enters the ledger if it passed."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from grader.proof import ledger, suites

ROOT = Path(__file__).resolve().parents[2]
PASSES = """
import pytest

@pytest.mark.ledger
def test_it():
    assert True

def test_of_every_run():
    raise AssertionError("it is no part of the suite")
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    for part in ("labs_lib", "datasets", "grader"):
        shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("engine", "sandbox"):
        shutil.copytree(ROOT / "tests" / part, root / "tests" / part)
    for name in ("conftest.py", "floods.py", "malformed.py"):
        shutil.copy(ROOT / "tests" / name, root / "tests" / name)
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


@pytest.mark.parametrize(
    ("file", "more", "counts"),
    [
        pytest.param("tests/sandbox/test_sandbox.py", "\nx = 1\n", True, id="a test"),
        pytest.param("tests/sandbox/test_sandbox.py", "\n# A remark.\n", False, id="a remark"),
        pytest.param("tests/floods.py", "\nx = 1\n", True, id="a helper that a test imports"),
        pytest.param("tests/malformed.py", "\nx = 1\n", False, id="a helper of others"),
        pytest.param("grader/sandbox/watch.py", "\nx = 1\n", True, id="the room"),
        pytest.param("labs_lib/settings.py", "\nx = 1\n", True, id="what the room imports"),
        pytest.param("grader/classroom/students.py", "\nx = 1\n", False, id="a room above"),
    ],
)
def test_a_digest_changes_with_what_could_change_a_result(
    file: str, more: str, counts: bool, tree: Path
) -> None:
    path, before = tree / file, suites.digest(tree, "sandbox")
    kept = path.read_bytes()
    path.write_bytes(kept + more.encode())
    after = suites.digest(tree, "sandbox")
    path.write_bytes(kept)
    assert (after != before) is counts


def test_a_file_that_is_no_python_counts_too(tree: Path) -> None:
    before = suites.digest(tree, "engine")
    path = tree / "labs_lib" / "engine" / "jars.sha256"
    path.write_text(path.read_text() + "\n")
    assert suites.digest(tree, "engine") != before


def test_what_passes_is_proved_and_what_fails_is_not(tree: Path) -> None:
    shutil.rmtree(tree / "tests" / "engine")
    (tree / "tests" / "engine").mkdir()
    test = tree / "tests" / "engine" / "test_it.py"
    test.write_text(PASSES)
    found = suites.prove(tree, "engine")
    assert found and (found.tests, found.proved) == (1, date.today())
    ledger.enter(tree, "tests/engine", found)
    assert ledger.complaints(tree, [], ["engine"]) == []
    test.write_text(PASSES.replace("assert True", "assert False"))
    assert suites.prove(tree, "engine") is None
    assert ledger.complaints(tree, [], ["engine"]) == [
        "tests/engine changed since it was proved: `make prove SUITE=engine`."
    ]
    test.write_text(PASSES.replace("@pytest.mark.ledger\n", ""))
    assert suites.prove(tree, "engine") is None, "a suite of no tests proves nothing"
