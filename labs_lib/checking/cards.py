"""How verdicts and progress look: HTML in notebooks, plain text elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import jinja2

from labs_lib import registry
from labs_lib.checking.verdict import Verdict

MARKS = {"pass": "✔", "partial": "◐", "fail": "✘", "unanswered": "○", "blocked": "⋯"}
WORDS = {
    "pass": "Solved",
    "partial": "Partly",
    "fail": "Not yet",
    "unanswered": "No answer",
    "blocked": "Waiting",
}
COLOURS = {
    "pass": "#2e7d32",
    "partial": "#b26a00",
    "fail": "#c62828",
    "unanswered": "#607d8b",
    "blocked": "#607d8b",
}


class Card(Verdict):
    """A verdict that shows itself: as a card in notebooks, as text elsewhere."""

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return mimebundle(self)

    def __repr__(self) -> str:
        return text(self)


class PrintedCard(Card):
    """A card that was printed already: a terminal should not show it twice."""

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return {"text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"{self.points:g}"


def mimebundle(verdict: Verdict) -> dict[str, Any]:
    """A verdict as a cell's output: the card, the verdict as data, and for nbgrader the points.

    nbgrader's partial-credit rule reads these from text/plain (nbgrader.utils.determine_grade and get_partial_grade).
    """
    return {
        "text/html": html(verdict),
        "text/plain": f"{verdict.points:g}",
        "application/vnd.labs.verdict+json": verdict.as_dict(),
    }


def html(verdict: Verdict) -> str:
    """A verdict as a card. Whatever came from the learner is escaped."""
    return _template("card.html").render(
        verdict=verdict,
        mark=MARKS[verdict.status],
        word=WORDS[verdict.status],
        colour=COLOURS[verdict.status],
    )


def text(verdict: Verdict) -> str:
    """A verdict as plain text."""
    lines = [
        f"{MARKS[verdict.status]} {verdict.step} {verdict.title}: {WORDS[verdict.status].lower()}, "
        f"{verdict.points:g} of {verdict.max_points} points. {verdict.sentence}"
    ]
    lines += [f"  taken for {told}" for told in verdict.taken]
    for finding in verdict.findings:
        lines.append(f"  {'✔' if finding.ok else '✘'} {finding.name}: {finding.found}")
        if not finding.ok:
            lines.append(f"      expected: {finding.expected}")
            lines.extend([f"      look at: {finding.look}"] if finding.look else [])
    if verdict.hints:
        lines.append(f"  {len(verdict.hints)} hints; the first: {verdict.hints[0]}")
    return "\n".join(lines)


def progress_html(steps: dict[str, dict[str, Any]], modules: Iterable[registry.Module]) -> str:
    """Modules with a mark per step."""
    return _template("progress.html").render(
        modules=modules, steps=steps, marks=MARKS, words=WORDS, colours=COLOURS
    )


def progress_text(steps: dict[str, dict[str, Any]], modules: Iterable[registry.Module]) -> str:
    """Modules with a mark per step, a line an exercise."""
    lines = []
    for module in modules:
        lines.append(f"{module.name}: {module.title}" + ("" if module.written else "  (not yet written)"))
        if not module.written:
            continue
        for exercise in module.exercises:
            if not exercise.written:
                lines.append(f"  {exercise.id}  still to come: {exercise.title}")
                continue
            states = [steps.get(step.id, {}).get("status", "") for step in exercise.steps]
            points = sum(steps.get(step.id, {}).get("points", 0) for step in exercise.steps)
            marks = " ".join(MARKS.get(state, "·") for state in states)
            total = sum(step.points for step in exercise.steps)
            lines.append(f"  {exercise.id}  {marks}  {points:g} of {total} points  {exercise.title}")
    return "\n".join(lines)


@cache
def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("labs_lib.checking"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(name)
