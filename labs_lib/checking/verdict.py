"""What a check says: findings, and the verdict that sums them up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

Status = Literal["pass", "partial", "fail", "unanswered", "blocked"]


@dataclass(frozen=True)
class Finding:
    """One thing a check looked at. `weight` is its share of the step's points relative to the other findings."""

    name: str
    ok: bool
    expected: str
    found: str
    look: str = ""
    weight: int = 1


@dataclass(frozen=True)
class Verdict:
    """The outcome of one step. `taken` says what was taken for the answers that were used rather than looked at."""

    step: str
    title: str
    status: Status
    points: float
    max_points: int
    sentence: str
    findings: tuple[Finding, ...] = ()
    hints: tuple[str, ...] = ()
    seconds: float = 0.0
    taken: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return self.status == "pass"

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready form, without hints: for progress, reports and the judge."""
        content = asdict(self)
        del content["hints"]
        if not self.taken:
            del content["taken"]
        return content

    def timed(self, seconds: float) -> Verdict:
        """The same verdict with the time its check took."""
        return replace(self, seconds=round(seconds, 3))


def settle(
    step: str, title: str, max_points: int, findings: Sequence[Finding], hints: tuple[str, ...]
) -> Verdict:
    """The verdict for these findings: points in proportion to the weight of those that hold, to half a point below.

    Half points, rounded down, so that a sum of steps is a figure that a person can check.
    """
    total = sum(finding.weight for finding in findings)
    good = sum(finding.weight for finding in findings if finding.ok)
    if total and good == total:
        return Verdict(step, title, "pass", max_points, max_points, "All of it holds.", tuple(findings))
    points = int(2 * max_points * good / total) / 2 if total else 0.0
    wrong = [finding for finding in findings if not finding.ok]
    sentence = (
        f"{len(wrong)} of {len(findings)} {'check' if len(findings) == 1 else 'checks'} did not hold."
        if findings
        else "There was nothing to check."
    )
    return Verdict(
        step, title, "partial" if points else "fail", points, max_points, sentence, tuple(findings), hints
    )
