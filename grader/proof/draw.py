"""A draw of the proofs, for every run of the tests: a wrong answer to each step, a right one to each exercise.

One module is drawn beside them: its solution and half-right notebook go through sandbox and judge, and its untouched one through a browser.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from grader.proof.answers import Answer, answers
from labs_lib.registry import Exercise, Module


@dataclass(frozen=True)
class Draw:
    """What is drawn under a seed: answers by exercise, and the module whose notebooks go through sandbox and judge."""

    answers: dict[str, tuple[Answer, ...]]
    module: str


def draw(root: Path, modules: Sequence[Module], exercises: Sequence[Exercise], seed: int) -> Draw:
    """Draw from the written exercises of the written modules; the same for the same seed and files.

    A given wrong answer is drawn with a chance of one in the number of wrong answers to its step.
    """
    chance = random.Random(seed)
    drawn = {}
    for exercise in exercises:
        known = answers(root, exercise)
        groups = [[each for each in known if each.kind == "right"]]
        groups += [
            [each for each in known if each.kind == "wrong" and each.step == step.id]
            for step in exercise.steps
        ]
        drawn[exercise.id] = tuple(chance.choice(group) for group in groups if group)
    return Draw(drawn, chance.choice([module.name for module in modules]))
