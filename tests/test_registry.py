"""The registry is complete, and each of its rules stops the registry that breaks it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from labs_lib import registry
from labs_lib.errors import LabsError

COURSE = registry.REGISTRY_FILE.read_text(encoding="utf-8")


def test_six_modules_eleven_exercises_fifty_five_steps() -> None:
    course = registry.load()
    assert [m.name for m in course.modules] == [
        "01_optimization",
        "02_patterns",
        "03_cicd",
        "04_monitoring",
        "05_resource_management",
        "06_security",
    ]
    exercises = [e for m in course.modules for e in m.exercises]
    assert [e.id for e in exercises] == ["1a", "1b", "2a", "2b", "3a", "3b", "4a", "5a", "5b", "6a", "6b"]
    assert sum(len(exercise.steps) for exercise in exercises) == 55
    for exercise in exercises:
        assert 10 <= sum(step.points for step in exercise.steps) <= 13, exercise.id


def test_a_step_knows_its_exercise_and_module() -> None:
    assert registry.step("1b.2").title == "Choose and apply a layout"
    assert registry.exercise_of("1b.2").id == "1b"
    assert registry.module_of("5a.3").name == "05_resource_management"


def test_unknown_names_point_to_the_nearest() -> None:
    with pytest.raises(LabsError, match=r"no step '1a\.9'.*nearest are.*1a\."):
        registry.step("1a.9")
    with pytest.raises(LabsError, match=r"no module '01_optimisation'.*01_optimization"):
        registry.module("01_optimisation")


BROKEN = {
    "points": ("points = 2", "points = 0", r"step 1a\.1 is worth 0"),
    "id out of place": ('id = "1a.2"', 'id = "1a.7"', r"step '1a\.7' is where 1a\.2 belongs"),
    "id twice": ('id = "1a.2"', 'id = "1a.1"', r"step 1a\.1 is there twice"),
    "exercise id": ('id = "1b"', 'id = "1c"', r"exercise '1c' of 01_optimization is where 1b belongs"),
    "module name": ('name = "02_patterns"', 'name = "03_patterns"', r"call it 02_something"),
    "later need": ('needs = ["1a.3"]', 'needs = ["1b.2"]', r"step 1a\.4 needs '1b\.2'"),
    "compare": (r"compare = \[[^\]]*\]", 'compare = ["absent"]', r"compares 'absent'"),
    "kind": ('kind = "dataframe"', 'kind = "frame"', r"answers with a 'frame'; kinds are"),
    "no answers": (r"answers = \[\n(?:    .*\n)+\]", "", r"step 1a\.1 of a written exercise has no answer"),
    "no hints": (r"hints = \[\n(?:    .*\n)+\]", "", r"step 1a\.1 of a written exercise has 0 hints"),
    "written in words": (
        "written = true",
        'written = "no"',
        r"exercise 1a has written = 'no'; it is true or false",
    ),
    "misspelt key": ("points = 2", "points = 2\npoint = 2", r"step 1a\.1 has an unknown key 'point'"),
    "missing key": ('title = "Find the slow stage"', "", r"step 1a\.1 has no 'title'"),
    "four steps": (r'\[\[modules.exercises.steps\]\]\nid = "6b\.5"(?:\n.+)+', "", r"exercise 6b has 4 steps"),
    "not TOML": ("points = 2", "points 2", r"cannot be read"),
}


def course(tmp_path: Path, text: str) -> registry.Registry:
    path = tmp_path / "registry.toml"
    path.write_text(text, encoding="utf-8")
    return registry.load(path)


FIRST = 'title = "Performance tuning"\nwritten = true'


def test_half_a_module_serves_the_steps_that_are_written(tmp_path: Path) -> None:
    half = course(tmp_path, COURSE.replace(FIRST, FIRST.replace("true", "false")))
    module = half.modules[0]
    assert module.written and [exercise.id for exercise in module.to_come] == ["1a"]
    assert [step.id for step in registry.steps(module)] == [f"1b.{n}" for n in range(1, 6)]
    assert module.unwritten == ("01_optimization 1a (Performance tuning)",)
    assert half.modules[1].unwritten == () and half.modules[3].unwritten == ("04_monitoring",)
    assert not half.modules[3].written and list(registry.steps(half.modules[3])) == []
    # By its id a step is found all the same: a check has to say what is the matter with it.
    assert registry.step("1a.3", half).title == "Fix it"
    assert registry.module_of("1a.3", half) == module


def test_a_step_may_not_build_on_one_that_is_still_to_come(tmp_path: Path) -> None:
    first, fifth = 'id = "1b.1"\n', 'needs = ["1a.5"]\n'
    needing = COURSE.replace(first, first + fifth)
    course(tmp_path, needing)
    (tmp_path / "half").mkdir()
    with pytest.raises(LabsError, match=r"step 1b\.1 needs '1a\.5', whose exercise is not yet written"):
        course(tmp_path / "half", needing.replace(FIRST, FIRST.replace("true", "false")))


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_registry_is_named_in_one_sentence(name: str, tmp_path: Path) -> None:
    pattern, replacement, message = BROKEN[name]
    text, count = re.subn(
        pattern if "\\" in pattern else re.escape(pattern), lambda _: replacement, COURSE, count=1
    )
    assert count == 1
    with pytest.raises(LabsError, match=message):
        course(tmp_path, text)
