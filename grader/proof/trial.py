"""One trial of a proof, as it is told while the proof goes on."""

from __future__ import annotations

from dataclasses import dataclass

SOLUTION = "solution"  # the name of the trial that the solution itself is


@dataclass(frozen=True)
class Trial:
    """One answer tried under one seed. `complaint` says what was wrong with its verdicts, or is None."""

    exercise: str
    seed: int
    answer: str
    complaint: str | None
    seconds: float
