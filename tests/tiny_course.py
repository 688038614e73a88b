"""A course of one small module without Spark, for the tests of what builds, runs and compares notebooks."""

from __future__ import annotations

import functools
import json
import shutil
import tempfile
from pathlib import Path
from typing import get_args

from grader.course import paths
from grader.course.build import write_solution
from grader.course.notebook import Place
from grader.rehearsal.outcome import Failure, Outcome, Stage, StepRun
from grader.rehearsal.run import build_module, rehearse, write_expected
from labs_lib.registry import Module

REPOSITORY = Path(__file__).resolve().parent.parent
NAME = "01_tiny"

# The tiny check: step n wants answer_n = n + SEED, and gives one point for any other number.
SETUP = """\
import hashlib, json, os, pathlib, sys, time

class Verdict:
    def __init__(self, step, points, expected, found):
        finding = {"name": "sum", "ok": points == 2, "expected": expected, "found": found}
        status = "pass" if points == 2 else "fail"
        self.raw = {"step": step, "points": points, "max_points": 2, "status": status, "findings": [finding]}
        self.raw["seconds"] = time.perf_counter()

    def _repr_mimebundle_(self, include=None, exclude=None):
        card = f"<b>{self.raw['step']}</b> {self.raw['points']} points in {self.raw['seconds']:.3f} s"
        return {
            "text/plain": str(float(self.raw["points"])),
            "text/html": card,
            "application/vnd.labs.verdict+json": self.raw,
        }

def check(step):
    number = int(step[-1])
    found = globals().get(f"answer_{number}")
    digest = hashlib.sha256(str(found).encode()).hexdigest()
    path = pathlib.Path(os.environ["LABS_WORKSPACE"], "01_tiny", "evidence", f"{step}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"digests": {f"answer_{number}": digest}}))
    points = 0 if found is None else 2 if found == number + SEED else 1
    return Verdict(step, points, number + SEED, found)"""


def registry_text(half: bool = False) -> str:
    """Return a registry of two modules of one exercise, the second not yet written; the first is `half` of two exercises if wanted."""
    lines = []
    for module, exercises in ((NAME, ["1a", "1b"] if half else ["1a"]), ("02_later", ["2a"])):
        lines += ["[[modules]]", f'name = "{module}"', f'title = "{module}"']
        for exercise in exercises:
            written = exercise == "1a"
            lines += ["[[modules.exercises]]", f'id = "{exercise}"', f'title = "Sums {exercise}"']
            lines += [f"written = {str(written).lower()}"]
            for step in range(1, 6):
                lines += ["[[modules.exercises.steps]]", f'id = "{exercise}.{step}"']
                lines += [f'title = "Add {step}"', "points = 2"]
                if written:
                    lines += [f'answers = [{{ name = "answer_{step}", kind = "value", type = "int" }}]']
                    lines += [f'compare = ["answer_{step}"]']
                    lines += ['hints = ["Look at SEED.", "Add the number of the step."]']
                    lines += [f'needs = ["1a.{step - 1}"]'] if step > 1 else []
    return "\n".join(lines) + "\n"


TO_COME = "Exercise 1b (Sums 1b) is still to come."


def source_text(half: bool = False) -> str:
    """Return the module's solution in percent format; that of `half` a module ends with what is to come."""
    cells = ['# %% tags=["parameters"]\nSEED = 0', f'# %% tags=["setup"]\n{SETUP}']
    cells.append("# %% [markdown]\n# ## A lesson\n# Sums add up.")
    cells.append('# %%\nprint("rows:", 40 + 2)\nprint(f"took {time.perf_counter() / 1000:.3f} s")')
    for step in range(1, 6):
        cells.append(f"# %% [markdown]\n# ### Step {step}")
        region = f"### BEGIN SOLUTION\nanswer_{step} = {step} + SEED\n### END SOLUTION"
        cells.append(f'# %% tags=["answer:1a.{step}"]\n# Put your sum into answer_{step}.\n{region}')
        cells.append(f'# %% tags=["check:1a.{step}"]\ncheck("1a.{step}")')
    cells += [f"# %% [markdown]\n# {TO_COME}"] if half else []
    return "\n\n".join(cells) + "\n"


def make(root: Path, half: bool = False) -> Module:
    """Make a course in `root` with its source and an instructor notebook that was never run; return the module."""
    files = {
        root / "labs_lib" / "registry.toml": registry_text(half),
        paths.source_file(root, NAME): source_text(half),
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    for name in ("nbgrader_config.py", "nbval_sanitize.cfg"):
        shutil.copyfile(REPOSITORY / name, root / name)
    module = paths.chosen(root, NAME)[0]
    write_solution(root, module)
    return module


def edit(path: Path, old: str, new: str) -> None:
    """Replace the one place of `old` in a file."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {path}"
    path.write_text(text.replace(old, new), encoding="utf-8")


def edit_json(path: Path, old: str, new: str) -> None:
    """Replace the one place of `old` in a notebook, both given as they stand in a cell or output."""
    edit(path, json.dumps(old)[1:-1], json.dumps(new)[1:-1])


class Silent:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.places: list[Place] = []
        self.runs: list[StepRun] = []
        self.failures: list[Failure] = []

    def cell(self, place: Place) -> None:
        self.places.append(place)

    def step(self, run: StepRun) -> None:
        self.runs.append(run)

    def failure(self, failure: Failure) -> None:
        self.failures.append(failure)


@functools.cache
def _finished(half: bool) -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory(prefix="labs-tiny-")
    root = Path(folder.name)
    module = make(root, half)
    write_expected(root, module, Silent())
    assert build_module(root, module, execute=True, listener=Silent()) == []
    return folder


def checked(root: Path, module: Module) -> list[Outcome]:
    """Run and replay the module as `grader check --seed 7 --jobs 1` does, in this process; return both outcomes."""
    return [rehearse(root, module, stage, 7, Silent()) for stage in get_args(Stage)]


def finished(root: Path, half: bool = False) -> Module:
    """Copy a course that is built, executed and has its digests to `root`; return its module."""
    shutil.copytree(_finished(half).name, root, dirs_exist_ok=True)
    return paths.chosen(root, NAME)[0]
