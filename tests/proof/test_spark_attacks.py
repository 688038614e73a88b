"""Attacks on tables, plans and the server through `grader grade`: exercise 1a without its lessons, whose boxes and judges run Spark.

Those on Python, files and the sandbox are in tests/classroom/test_grading.py, on a course that needs no Spark.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from attackers import Attacked, Course, Graded

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


class TestSparkAttacks(Attacked):
    attacks = ATTACKS
