"""A learner's box has the tools of the course and what arrives; what must come of it is in the judge's alone."""

from __future__ import annotations

import sys

import pytest

import datasets
from grader.sandbox.runner import Limits
from grader.sandbox.workbox import workbox
from labs_lib import settings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is for Linux")

LOOK = """
import importlib, pathlib, datasets, labs_lib.checking.checker, labs_lib.optimization, labs_lib.patterns.cdc
for name in ("labs_lib.optimization.checks.exercise_1a", "labs_lib.patterns.checks.streams", "datasets.feeds.dimension"):
    try:
        importlib.import_module(name)
        print("FOUND", name)
    except ModuleNotFoundError:
        print("hidden", name)
here = pathlib.Path(datasets.__file__).parents[1]
packages = [path for package in ("labs_lib", "datasets") for path in (here / package).rglob("*")]
print([str(path) for path in packages if {"checks", "expected", "feeds"} & set(path.parts) and "patterns/feeds" not in str(path)])
print(datasets.arrived("dimension", 5, labs_lib.settings.home() / "data").name)
"""


def said_in(with_truths: bool) -> str:
    arrived = datasets.arrived("dimension", 5, settings.home() / "data")
    with workbox([arrived], [], True, with_truths) as box:
        ended = box.run([sys.executable, "-c", "import labs_lib.settings\n" + LOOK], Limits(wall=60))
    assert arrived.name in ended.output, ended.output
    return ended.output


def test_a_learners_box_shows_no_check_no_truth_and_no_expected_digest() -> None:
    said = said_in(with_truths=False)
    assert "FOUND" not in said and said.count("hidden") == 3 and "\n[]\n" in said, said


def test_the_judges_box_shows_checks_and_truths() -> None:
    said = said_in(with_truths=True)
    assert "hidden" not in said and said.count("FOUND") == 3, said
    assert not [line for line in said.splitlines() if "expected" in line and line.endswith(".json")]
