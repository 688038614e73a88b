"""(g) What judging costs: a class half of whose answers are wrong, one at each step, through `grader grade`, and the seconds that each step took.

Submissions go one after the other, right and wrong ones in turn, so that both meet the same judges.
"""

from __future__ import annotations

import json
from collections import defaultdict
from statistics import median

from rich.console import Console

from benchmarks import classroom
from benchmarks.classroom import NAME
from benchmarks.figures import Figure, Result
from benchmarks.grading import command, make_ready
from benchmarks.ground import ROOT, Ground
from grader.course import paths
from grader.course.notebook import read, role_of
from grader.judging.reference import folder
from grader.proof.answers import answers
from labs_lib import registry

TARGET = (
    1.1  # a wrong answer costs no more than a right one, give or take what two runs of the same differ by
)
SMALL = {"LABS_SCALE": "0.3"}


def measure(place: Ground, console: Console) -> Result:
    """Grade the solution of exercise 1a and its wrong answers, each as often as its step has wrong ones at most."""
    root = place.fresh("judged") / "course"
    classroom.small_course(root)
    make_ready(place, root, SMALL)
    solution = read(paths.solution_file(root, NAME))
    wrong = _wrong_by_step()
    for number in range(max(map(len, wrong.values()))):
        right = classroom.with_note(solution, f"Right, number {number}.")
        classroom.submit(root, f"student-{number:03d}-right", right)
        for cell in right.cells:
            role = role_of(cell)
            if role.kind == "answer":
                texts = wrong[role.step]
                cell.source = f"SOLUTION = {cell.source!r}\n{texts[number % len(texts)]}"
        classroom.submit(root, f"student-{number:03d}-wrong", right)
    command(place, root, place.course_environment | SMALL, "grader.cli", "grade", NAME, "--jobs", "1")
    seconds: dict[tuple[str, bool], list[float]] = defaultdict(list)
    for path in (folder(root, NAME) / "results").glob("*.json"):
        verdicts = json.loads(path.read_text())["verdicts"]
        is_right = all(verdict["status"] == "pass" for verdict in verdicts)
        for verdict in verdicts:
            seconds[verdict["step"], is_right].append(verdict["seconds"])
        seconds["all", is_right].append(sum(verdict["seconds"] for verdict in verdicts))
    typical = {key: median(found) for key, found in seconds.items()}
    figures = [
        *(
            Figure("g", f"  judging {step}, {word}", typical[step, word == "right"], "s")
            for step in wrong
            for word in ("right", "wrong")
        ),
        Figure(
            "g",
            "judging a wrong submission / a right one",
            typical["all", False] / typical["all", True],
            "x",
            TARGET,
        ),
    ]
    console.print(
        f"(g) right {typical['all', True]:.1f} s, wrong {typical['all', False]:.1f} s", highlight=False
    )
    counted = (
        f"(g) Exercise 1a's solution against notebooks with a wrong answer at each step ({len(seconds['all', False])} of each), graded one "
        "after the other by `grader grade --jobs 1` on small tables: medians of the seconds that the judge took for each step."
    )
    return Result(
        tuple(figures),
        counted,
        {
            "seconds": {
                f"{step} {'right' if right else 'wrong'}": found for (step, right), found in seconds.items()
            }
        },
    )


def _wrong_by_step() -> dict[str, list[str]]:
    """The texts of the wrong answers to each step of exercise 1a."""
    found: dict[str, list[str]] = defaultdict(list)
    for answer in answers(ROOT, registry.exercise_of("1a.1")):
        if answer.kind == "wrong":
            found[answer.step].append(answer.path.read_text(encoding="utf-8"))
    return dict(sorted(found.items()))
