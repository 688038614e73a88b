"""Answers of known worth: every step has enough, no file is stray, and a draw of them holds under the seed of this run.

All of them are tried by `make prove`. The seed is printed at the top of a run and can be given again: `make test SEED=...`.
"""

from __future__ import annotations

from collections import Counter

import pytest

from grader.proof.answers import answers, of_module
from grader.proof.draw import draw
from grader.proof.worker import run
from labs_lib import registry
from tests.drawn import EXERCISES, MODULES, ROOT, SEED, drawn


@pytest.mark.parametrize(
    "exercise",
    [
        pytest.param(each, id=each.id, marks=pytest.mark.xdist_group(f"answers of {each.id}"))
        for each in EXERCISES
    ],
)
def test_what_is_drawn_is_judged_as_its_name_says(exercise: registry.Exercise) -> None:
    chosen = drawn().answers[exercise.id]
    complaints: list[str] = []

    def tell(seed: int, answer: str, said: str | None, seconds: float) -> None:
        print(f"{answer} under seed {seed}: {said or 'as it should be'}, {seconds:.1f} s")
        complaints.extend([said] if said else [])

    run(ROOT, exercise, {SEED: [answer.name for answer in chosen]}, tell)
    assert complaints == []


def test_every_step_has_wrong_answers_and_no_file_is_stray() -> None:
    known = [answer for exercise in EXERCISES for answer in answers(ROOT, exercise)]
    wrong = Counter(answer.step for answer in known if answer.kind == "wrong")
    right = Counter(answer.step for answer in known if answer.kind == "right")
    steps = {step.id for exercise in EXERCISES for step in exercise.steps}
    assert {step for step in steps if wrong[step] < 3} == set(), "give each step three wrong answers"
    assert {step for step in steps if right[step] < 1} == set(), (
        "give each step a right answer that looks different"
    )
    for folder in ("wrong_answers", "right_answers"):
        for path in (ROOT / "tests" / folder).rglob("*.py"):
            named = path.stem.split("-")[0].split(",")
            for step in named:
                assert registry.module_of(step).name == path.parent.name, (
                    f"{path.name} is in another module's folder"
                )
    unwritten = {s.id for m in registry.modules() for e in m.exercises if not e.written for s in e.steps}
    files = {
        answer.path
        for module in registry.modules()
        for answer in of_module(ROOT, module.name)
        if answer.step not in unwritten
    }
    assert files == {answer.path for answer in known}


def test_a_draw_has_a_wrong_answer_to_each_step_and_a_right_one_to_each_exercise() -> None:
    assert drawn() == drawn()
    for exercise in EXERCISES:
        found = drawn().answers[exercise.id]
        assert [answer.step for answer in found if answer.kind == "wrong"] == [
            step.id for step in exercise.steps
        ]
        assert sum(answer.kind == "right" for answer in found) == 1


def test_every_answer_and_module_is_drawn_some_day() -> None:
    """A ledger that was edited by hand is found out: each answer has its chance in every run."""
    draws = [draw(ROOT, MODULES, EXERCISES, seed) for seed in range(300)]
    chosen = {answer.path for each in draws for found in each.answers.values() for answer in found}
    assert chosen == {answer.path for exercise in EXERCISES for answer in answers(ROOT, exercise)}
    assert {each.module for each in draws} == {module.name for module in MODULES}
