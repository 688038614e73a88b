"""The HTML page that `grader check` leaves: one file, no scripts, to be opened from disk or a CI artifact."""

from __future__ import annotations

import base64
import datetime
import io
import re
from pathlib import Path

import jinja2

from grader.course import build
from grader.rehearsal.outcome import Outcome, StepRun

GOOD, BAD = "#2e7d32", "#c62828"


def write_report(root: Path, outcomes: list[Outcome], unwritten: list[str], seed: int) -> Path:
    """Write build/report/index.html below `root` and return its absolute path."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("grader.rehearsal"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    # Kernels colour their tracebacks for a terminal.
    environment.filters["plain"] = lambda text: re.sub(r"\x1b\[[0-9;]*m", "", text)
    page = environment.get_template("report.html.j2").render(
        outcomes=outcomes,
        unwritten=unwritten,
        seed=seed,
        ok=all(outcome.ok for outcome in outcomes),
        failures=[(outcome, failure) for outcome in outcomes for failure in outcome.failures],
        plots={(outcome.stage, outcome.module): plot(outcome) for outcome in outcomes if outcome.steps},
        when=datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
    )
    path = (root / "build" / "report" / "index.html").resolve()
    build.replace(path, page)
    return path


def plot(outcome: Outcome) -> str:
    """Return a data URI of a picture of an outcome: seconds and points per step."""
    from matplotlib.figure import Figure  # two seconds to import, which the other commands are spared

    steps: tuple[StepRun, ...] = tuple(reversed(outcome.steps))
    figure = Figure(figsize=(9, 0.8 + 0.3 * len(steps)), layout="constrained")
    times, points = figure.subplots(1, 2, sharey=True, width_ratios=[3, 1])
    names = [f"{step.step} {step.title}" for step in steps]
    colours = [GOOD if step.ok else BAD for step in steps]
    times.barh(names, [step.seconds for step in steps], color=colours)
    times.set_xlabel("seconds (answer and check)")
    points.barh(names, [step.max_points for step in steps], color="#e0e0e0")
    points.barh(names, [step.points for step in steps], color=colours)
    points.set_xlabel("points")
    for axes in (times, points):
        axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
