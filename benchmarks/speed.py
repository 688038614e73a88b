"""(a) Module 1's work: a classic session per notebook against the first notebook of a cold server and the next one."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.console import Console

from benchmarks import ground
from benchmarks.figures import Figure, Result
from benchmarks.ground import Ground
from benchmarks.workload import VACUUM
from labs_lib.engine import server
from labs_lib.errors import LabsError

COLD_TARGET, WARM_TARGET = 3.0, 8.0  # issue 3, "Benchmarks", (a)
FORMS = ("stock", "cold", "warm")


@dataclass(frozen=True)
class Run:
    """One process from its start to its end, in seconds, and what its parts took."""

    form: str
    seconds: float
    parts: dict[str, float]


def measure(place: Ground, rounds: int, console: Console) -> Result:
    """Run the three forms in turn, `rounds` times, and compare medians."""
    runs: list[Run] = []
    for number in range(1, rounds + 1):
        server.stop()
        for form in FORMS:
            runs.append(_run(place, form))
            console.print(f"(a) round {number}, {form}: {runs[-1].seconds:.1f} s", highlight=False)
        server.stop()
    seconds = {form: median(run.seconds for run in runs if run.form == form) for form in FORMS}
    without = {
        form: median(run.seconds - run.parts[VACUUM] for run in runs if run.form == form) for form in FORMS
    }
    parts = {
        form: {
            name: median(run.parts[name] for run in runs if run.form == form)
            for name in next(run.parts for run in runs if run.form == form)
        }
        for form in FORMS
    }
    figures = [
        *_ratios("", seconds),
        *_ratios(", without VACUUM", without),
        *(Figure("a", f"  seconds, {form}", seconds[form], "s") for form in FORMS),
        *(
            Figure("a", f"  stock / warm, {name}", parts["stock"][name] / parts["warm"][name], "x")
            for name in parts["warm"]
        ),
    ]
    counted = (
        f"(a) Medians of {rounds} interleaved round(s). A process each, from its start to its end: session, then module 1's work "
        f"(benchmarks/workload.py). Cold includes the server's start. {place.how[0].upper()}{place.how[1:]}. "
        f"Both on Java {place.java.version} ({place.java.origin}). VACUUM, the last part, took {parts['stock'][VACUUM]:.0f} s in stock "
        f"form and {parts['warm'][VACUUM]:.1f} s on the warm server: one statement that can outweigh the others, so the ratios are "
        "given with it and without."
    )
    raw = {"runs": [vars(run) for run in runs], "parts": parts}
    return Result(tuple(figures), counted, raw)


def _ratios(note: str, seconds: dict[str, float]) -> list[Figure]:
    cold, warm = seconds["stock"] / seconds["cold"], seconds["stock"] / seconds["warm"]
    return [
        Figure("a", f"stock / first notebook, cold server{note}", cold, "x", COLD_TARGET, "higher"),
        Figure("a", f"stock / next notebook, warm server{note}", warm, "x", WARM_TARGET, "higher"),
    ]


def _run(place: Ground, form: str) -> Run:
    engine = "stock" if form == "stock" else "course"
    if (server.running() is not None) != (form == "warm"):
        raise LabsError(
            f"The benchmark's own server should{'' if form == 'warm' else ' not'} be running now."
        )
    folder = place.fresh(form)
    command = [sys.executable, "-m", "benchmarks.notebook", engine, str(folder)]
    began = time.monotonic()
    with ground.process(command, place.environment(engine, folder), folder) as notebook:
        status = notebook.wait(timeout=ground.NOTEBOOK_TIMEOUT)
        seconds = time.monotonic() - began
    if status:
        raise LabsError(f"The {form} notebook ended with status {status}:\n{ground.tail(folder)}")
    return Run(form, seconds, _parts(folder, seconds))


def _parts(folder: Path, seconds: float) -> dict[str, float]:
    parts: dict[str, float] = json.loads((folder / "seconds.json").read_text())
    return parts | {"interpreter's start and end": seconds - sum(parts.values())}
