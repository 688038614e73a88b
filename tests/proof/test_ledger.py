"""The ledger of proofs: current for every written exercise, changed by what could change a verdict, by no sentence."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from grader.proof import ledger
from grader.proof.answers import answers
from grader.proof.dependencies import digest, without_comments
from grader.proof.suites import SUITES
from labs_lib import registry
from labs_lib.errors import LabsError

ROOT = Path(__file__).resolve().parents[2]
EXERCISES = [each for module in registry.modules() for each in module.exercises if each.written]
FIRST = EXERCISES[0]
PROOF = ledger.Proof("0" * 64, date(2026, 1, 1), (1, 2, 3), 0.3, 15, 5, 100)


def test_every_written_exercise_and_every_suite_is_proved_as_it_stands() -> None:
    assert ledger.complaints(ROOT, EXERCISES, SUITES) == []


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    for part in ("labs_lib", "datasets", "solutions"):
        shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("*.ipynb", "__pycache__"))
    for part in ("wrong_answers", "right_answers"):
        shutil.copytree(ROOT / "tests" / part, root / "tests" / part)
    return root


def edited(path: Path, change: Callable[[str], str]) -> None:
    text = path.read_text(encoding="utf-8")
    assert change(text) != text
    path.write_text(change(text), encoding="utf-8")


CHECKS = "labs_lib/optimization/checks/exercise_1a.py"
SOURCE = "solutions/01_optimization/01_optimization.py"


@pytest.mark.parametrize(
    ("file", "change", "counts"),
    [
        pytest.param(CHECKS, lambda text: text + "\n# A remark.\n", False, id="comment"),
        pytest.param(CHECKS, lambda text: text.replace('"""Exercise 1a', '"""The exercise 1a', 1), False, id="docstring"),
        pytest.param(CHECKS, lambda text: text + "\nBOUND = 3\n", True, id="check"),
        pytest.param("labs_lib/optimization/checks/exercise_1b.py", lambda text: text + "\nBOUND = 3\n", False, id="other exercise's check"),
        pytest.param("labs_lib/patterns/streams.py", lambda text: text + "\nBOUND = 3\n", False, id="other room"),
        pytest.param("labs_lib/engine/server.py", lambda text: text + "\nBOUND = 3\n", True, id="what checks import"),
        pytest.param("labs_lib/measuring/plots.py", lambda text: text + "\nBOUND = 3\n", True, id="what only cells import, by a lazy name"),
        pytest.param("datasets/tables.py", lambda text: text + "\nBOUND = 3\n", True, id="dataset"),
        pytest.param("labs_lib/registry.toml", lambda text: text.replace("points = 2", "points = 3", 1), True, id="points"),
        pytest.param(SOURCE, lambda text: text.replace("# %% [markdown]\n", "# %% [markdown]\n# A sentence more.\n", 1), False, id="sentence"),
        pytest.param(SOURCE, lambda text: text.replace('products = lab.load("products")', 'products = lab.load("products").cache()', 1), True, id="cell"),
    ],
)  # fmt: skip
def test_a_digest_changes_with_what_could_change_a_verdict_and_with_nothing_else(
    file: str, change: Callable[[str], str], counts: bool, tree: Path
) -> None:
    path = tree / file
    kept, before = path.read_text(encoding="utf-8"), digest(tree, FIRST)
    edited(path, change)
    # The registry is read once a path, so a changed one is another exercise.
    exercise = (
        registry.load(shutil.copyfile(path, tree / "changed.toml")).modules[0].exercises[0]
        if file.endswith("toml")
        else FIRST
    )
    after = digest(tree, exercise)
    path.write_text(kept, encoding="utf-8")
    assert (after != before) is counts


def test_an_answer_more_or_less_changes_the_digest(tree: Path) -> None:
    before = digest(tree, FIRST)
    path = answers(tree, FIRST)[-1].path
    aside = path.rename(tree / "aside.py")
    assert digest(tree, FIRST) != before
    aside.rename(path)
    assert digest(tree, FIRST) == before


def test_comments_and_docstrings_are_left_out_and_strings_are_not() -> None:
    source = '"""Doc."""\nx = "# no comment"  # one\n\n\ndef f():\n    """Doc\n    of f."""\n    return """kept"""\n'
    assert without_comments(source) == 'x = "# no comment"\ndef f():\n    return """kept"""'
    assert without_comments("%%bash\nls # all") == "%%bash\nls # all"


def test_what_is_not_proved_is_said_with_the_command_that_proves_it(tree: Path) -> None:
    ledger.file(tree).unlink(missing_ok=True)
    assert ledger.complaints(tree, [FIRST]) == ["1a was never proved: `make prove EXERCISE=1a`."]
    ledger.enter(tree, "1a", PROOF)
    assert ledger.complaints(tree, [FIRST]) == ["1a changed since it was proved: `make prove EXERCISE=1a`."]
    ledger.enter(tree, "1a", replace(PROOF, digest=digest(tree, FIRST)))
    assert ledger.complaints(tree, [FIRST]) == []
    assert ledger.complaints(tree, []) == [
        "tests/proved.toml speaks of 1a, which is no written exercise and no suite: delete its entry."
    ]


def test_an_entry_survives_the_file(tree: Path) -> None:
    ledger.file(tree).unlink(missing_ok=True)
    ledger.enter(tree, "1a", PROOF)
    assert ledger.load(tree) == {"1a": PROOF}
    ledger.file(tree).write_text("[1a\n")
    with pytest.raises(LabsError, match=r"proved\.toml can't be read .*make prove"):
        ledger.load(tree)
