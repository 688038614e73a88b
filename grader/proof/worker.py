"""Tries an exercise's answers in a process of its own: `python -m grader.proof.worker ROOT EXERCISE`, with work as a line of JSON on its input.

The work is {seed: [names of answers]}. Each trial is a line of JSON on standard output: {"seed", "answer", "complaint", "seconds"}; the
solution is the answer "solution". What the answers themselves print goes nowhere. When the input ends, whoever began this is gone, and
the Spark server and the process end too.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from grader.course import paths
from grader.proof.answers import answers, complaint, rehearsal
from grader.proof.trial import SOLUTION
from grader.rehearsal.own_server import stop_server
from labs_lib import settings
from labs_lib.errors import LabsError, first_line
from labs_lib.registry import Exercise

Tell = Callable[[int, str, str | None, float], None]


def run(root: Path, exercise: Exercise, work: dict[int, Sequence[str]], tell: Tell) -> None:
    """Try the solution and the named answers under each seed, and tell of each what is wrong with it (None if nothing) and its seconds."""
    known = {answer.name: answer for answer in answers(root, exercise)}
    for seed, names in work.items():
        began = time.monotonic()
        try:
            with rehearsal(root, exercise, seed) as opened:
                tell(seed, SOLUTION, None, time.monotonic() - began)
                for name in names:
                    began = time.monotonic()
                    try:
                        said = complaint(known[name], opened.verdicts(known[name]))
                    except Exception as error:  # an answer of known worth may raise anything, and must not
                        said = f"{name} raises {type(error).__name__}: {first_line(error)}"
                    tell(seed, name, said, time.monotonic() - began)
        except LabsError as error:
            tell(seed, SOLUTION, str(error), time.monotonic() - began)


def _end_with_input() -> None:
    sys.stdin.read()
    stop_server(settings.home())
    os._exit(1)


def main() -> None:
    root, wanted = Path(sys.argv[1]), sys.argv[2]
    out = os.fdopen(os.dup(1), "w", buffering=1)
    exercise = next(
        each for module in paths.registry_of(root).modules for each in module.exercises if each.id == wanted
    )

    def tell(seed: int, answer: str, said: str | None, seconds: float) -> None:
        out.write(
            json.dumps({"seed": seed, "answer": answer, "complaint": said, "seconds": round(seconds, 1)})
            + "\n"
        )

    work = {int(seed): names for seed, names in json.loads(sys.stdin.readline()).items()}
    threading.Thread(target=_end_with_input, daemon=True).start()
    warnings.simplefilter("ignore")
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        run(root, exercise, work, tell)


if __name__ == "__main__":
    main()
