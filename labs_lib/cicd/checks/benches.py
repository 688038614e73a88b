"""The judge's side of a test bench (`labs_lib/cicd/bench.py`): variants in an order of the judge's, and what their runs come to."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from labs_lib.checking.evidence import Unusable
from labs_lib.checking.observer import Observer
from labs_lib.cicd import bench
from labs_lib.cicd.project import TEMPLATE
from labs_lib.driving.driver import Lost

PROGRAM = Path(bench.__file__).read_text(encoding="utf-8")
# Seconds for one run and for all of a bench. A run takes one or two on a quiet machine, the first of them with the start of Spark in it.
EACH, TOGETHER = 150.0, 600.0


@dataclass(frozen=True)
class Variant:
    """One text of the module under test. `what` says what it does wrong, "" for a right one; `words` choose its tests."""

    text: str
    what: str = ""
    words: tuple[str, ...] = ()
    given: bool = False


@dataclass(frozen=True)
class Run:
    """What a child says of one variant's run. A stranger's word."""

    variant: Variant
    told: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> list[list[str]]:
        """Name, phase, outcome and error of each test that ran."""
        rows = self.told.get("tests")
        return [
            [str(cell)[:240] for cell in row]
            for row in (rows if isinstance(rows, list) else [])
            if isinstance(row, list) and len(row) == 4
        ]

    @property
    def problem(self) -> str:
        """Why the tests could not be run, "" if they were."""
        return str(self.told.get("problem") or "")[:240]

    @property
    def red(self) -> list[str] | None:
        """The first test that failed, whatever its phase."""
        return next((row for row in self.rows if row[2] == "failed"), None)

    @property
    def killed(self) -> bool:
        """Whether a test failed in what it says itself, and not in what was made ready for it."""
        return not self.problem and any(row[1] == "call" and row[2] == "failed" for row in self.rows)

    @property
    def green(self) -> bool:
        """Whether there were tests and all passed."""
        return not self.problem and bool(self.rows) and self.red is None

    def number(self, name: str) -> float:
        """A figure that the child tells, 0 if it is none."""
        value = self.told.get(name)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def tried(
    observer: Observer,
    files: Mapping[str, str],
    path: str,
    variants: Sequence[Variant],
    tests: str,
    chance: np.random.Generator,
    engine: bool = True,
    tables: bool = False,
    measured: str = "",
    limit: float = EACH,
) -> list[Run]:
    """Runs of all variants, each at `path` of the project, with the learner's files beside. The order is drawn.

    Raises Unusable, with what became of the child, if it was lost on the way or the time was up.
    """
    project = {**TEMPLATE, **files, "conftest.py": TEMPLATE["conftest.py"]}
    runs, until = [], time.monotonic() + TOGETHER
    try:
        with observer.program(PROGRAM, "Bench", limit, engine=engine) as child:
            made = child.make(project, ("named" if observer.trusting else "all") if tables else "")
            if made.error:
                raise Unusable(f"Your tests can't be tried: what they run in failed with {made.error}.")
            for place in chance.permutation(len(variants)):
                variant = variants[int(place)]
                answer = child.call("run", path, variant.text, tests, list(variant.words), measured)
                if answer.error:
                    raise Unusable(f"Your tests can't be tried: running them ended with {answer.error}.")
                run = Run(variant, answer.value if isinstance(answer.value, dict) else {})
                runs.append(run)
                if run.problem or not run.number("collected"):
                    break  # it would be the same with each of the others
                if time.monotonic() > until:
                    raise Unusable(
                        f"Your tests take too long: {TOGETHER:g} s are for all {len(variants)} variants."
                    )
    except Lost as lost:
        raise Unusable(f"Your tests can't be judged: the process that ran them {lost}.") from None
    return runs
