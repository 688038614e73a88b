"""Attacks on module 2's tables through `grader grade`: histories, checkpoints, streams and deliveries that never were.

No step of the module is compared with the solution's rows, so the reference is empty here and nobody has to run the solution; submissions are
without the lessons, and the attacks write their tables with delta-rs (tests/forge.py).
"""

from __future__ import annotations

import hashlib
import html
import re
import sys
from pathlib import Path

import pytest
from attackers import Attacked, Course, Graded, packed

from grader.course import paths
from grader.course.notebook import read
from grader.judging.reference import code_version, folder, write
from grader.proof.boxed import lay
from labs_lib import registry, settings

pytestmark = [
    pytest.mark.proof,
    pytest.mark.alone,
    pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is for Linux"),
]

HERE = Path(__file__).resolve().parents[1]
MODULE = registry.module("02_patterns")
ATTACKS = tuple(sorted((HERE / "attacks" / "patterns").glob("*.py")))
FORGE = (HERE / "forge.py").read_text(encoding="utf-8")
SEED = 20_261
SAID = (
    "which is not there",
    "contradict each other",
    "contradicts itself",
    "are gone, so nobody can see what it held",
    "commits of such numbers of rows, but at no version",
    "No module named",
)


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Graded:
    """The whole class, graded by one command."""
    root = tmp_path_factory.mktemp("course")
    lay(HERE.parent, MODULE, SEED, root)
    text = paths.solution_file(root, MODULE.name).read_text(encoding="utf-8")
    version = hashlib.sha256(f"{code_version()} {settings.scale()} {text}".encode()).hexdigest()[:16]
    write(folder(root, MODULE.name) / f"reference-{SEED}-{version}.json", "{}")
    course = Course(
        root, MODULE.name, ATTACKS, full={step.id: step.points for step in registry.steps(MODULE)}
    )
    for number, attacks in enumerate([*packed(ATTACKS), {}]):
        nb = read(paths.learner_file(root, MODULE.name))
        nb.cells = [cell for cell in nb.cells if "nbgrader" in cell.metadata]
        for cell in nb.cells:
            step = cell.metadata.nbgrader.grade_id.removeprefix("answer-").replace("-", ".")
            if step in attacks:
                cell.source = FORGE + attacks[step].read_text(encoding="utf-8")
        course.submit(f"packed-{number}" if attacks else "untouched", nb)
    return course.grade()


class TestForgedTables(Attacked):
    attacks = ATTACKS

    def test_the_solution_gets_everything_and_an_untouched_notebook_nothing(self, graded: Graded) -> None:
        """The solution is not handed in."""
        assert set(graded.points["untouched"].values()) == {0}


def test_each_attack_came_to_the_check_and_is_named(graded: Graded) -> None:
    """By the learners' pages: what stands in the way is the forgery, and no error of the attack's own."""
    pages = (graded.course.root / "build" / "grading-report" / MODULE.name / "learners").glob("*.html")
    told = " ".join(
        html.unescape(re.sub(r"<[^>]+>", " ", page.read_text(encoding="utf-8"))) for page in pages
    )
    missing = [words for words in SAID if words not in told]
    assert missing == [], re.sub(r"\s+", " ", told)[-20_000:]
