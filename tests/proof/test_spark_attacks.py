"""Attacks on tables, plans and the server through `grader grade`: exercise 1a without its lessons, whose boxes and judges run Spark.

Those on Python, files and the sandbox are in tests/classroom/test_grading.py, on a course that needs no Spark.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from attackers import (
    FULL,
    Course,
    Graded,
    alone,
    assert_a_violent_attack_earned_nothing_and_is_told_of,
    assert_an_attack_earned_what_its_honest_part_is_worth,
    assert_nothing_was_seen_reached_or_left,
    on_steps,
)

from benchmarks.classroom import NAME, small_course

pytestmark = [
    pytest.mark.proof,
    pytest.mark.alone,
    pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is for Linux"),
]

ATTACKS = tuple(sorted((Path(__file__).resolve().parents[1] / "attacks" / "spark").glob("*.py")))


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Graded:
    """The whole class, graded by one command whose grader has little patience."""
    root = tmp_path_factory.mktemp("course")
    small_course(root, "\nc.JudgeSubmission.cell_timeout = 60\nc.JudgeSubmission.wall = 150.0\n")
    course = Course(root, NAME, ATTACKS, {"LABS_SCALE": "0.3"})
    course.submit_attackers()
    return course.grade()


def test_the_solution_gets_everything_and_an_untouched_notebook_nothing(graded: Graded) -> None:
    assert graded.points["solution"] == FULL
    assert set(graded.points["untouched"].values()) == {0}


@pytest.mark.parametrize("path", on_steps(ATTACKS), ids=lambda path: path.stem)
def test_an_attack_earns_what_its_honest_part_is_worth(path: Path, graded: Graded) -> None:
    assert_an_attack_earned_what_its_honest_part_is_worth(path, graded)


@pytest.mark.parametrize("path", alone(ATTACKS), ids=lambda path: path.stem)
def test_a_violent_attack_earns_nothing_and_is_told_of(path: Path, graded: Graded) -> None:
    assert_a_violent_attack_earned_nothing_and_is_told_of(path, graded)


def test_nothing_was_seen_reached_or_left(graded: Graded) -> None:
    assert_nothing_was_seen_reached_or_left(graded)
