"""`python -m benchmarks`: measure, print a table with targets, keep the figures in build/benchmarks.json."""

from __future__ import annotations

import os
import platform
import signal
import sys
import time
from typing import Annotated, Any

import psutil
import typer
from rich.console import Console

from benchmarks import ground
from benchmarks.figures import Result, Trial, save, show
from labs_lib.errors import LabsError

PARTS = "abcdj"  # (e) to (i) take long and are measured when asked for
ALL_PARTS = "abcdefghij"
FILE = ground.ROOT / "build" / "benchmarks.json"


def main(
    only: Annotated[str, typer.Option(help="Parts to measure, such as `a` or `cde`.")] = PARTS,
    rounds: Annotated[
        int, typer.Option(min=1, help="Interleaved rounds of (a), and runs of the solution for (c) and (d).")
    ] = 3,
    submissions: Annotated[
        int, typer.Option(min=2, help="(e): size of the class that hands in module 1.")
    ] = 6,
    many: Annotated[
        int, typer.Option(min=0, help="(e): size of the large class of a short exercise; 0 leaves it out.")
    ] = 50,
    module: Annotated[str, typer.Option(help="(f): the module that is run.")] = "02_patterns",
    conf: Annotated[
        list[str] | None, typer.Option(help="(f): a setting of Spark's to try, key=value; may be repeated.")
    ] = None,
    jvm: Annotated[
        list[str] | None, typer.Option(help="(f): an option of the JVM to try; may be repeated.")
    ] = None,
    record: Annotated[bool, typer.Option(help="(f): with Java's flight recorder, which costs too.")] = False,
) -> None:
    """Measure what the course costs: (a) speed, (b) memory, (c) check cells, (d) wall time against Spark's, (e) grading, (f) CPU, (g) judging, (h) the SQL door, (i) runs of jobs, (j) the workspace's calls."""
    if not only or set(only) - set(ALL_PARTS):
        raise typer.BadParameter(f"{only!r} is not made of the letters {', '.join(ALL_PARTS)}.")
    for setting in conf or []:
        if "=" not in setting:
            raise typer.BadParameter(f"{setting!r} is not of the form key=value.")
    trial = Trial(dict(setting.split("=", 1) for setting in conf or []), tuple(jvm or ()), record)
    console = Console()
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        results = _measure(only, rounds, (submissions, many), (module, trial), console)
    except LabsError as error:
        console.print(f"[red]{error}", soft_wrap=True, highlight=False)
        raise typer.Exit(1) from None
    show(results, console)
    save(results, _machine(), FILE)
    console.print(f"Figures and raw data: {FILE}", soft_wrap=True, highlight=False)


def _measure(
    only: str, rounds: int, sizes: tuple[int, int], tried: tuple[str, Trial], console: Console
) -> list[Result]:
    # Imported here: `--help` should not wait for papermill and pyspark.
    from benchmarks import cost, door, grading, judging, memory, runs, solution, speed, workspace

    results = [workspace.measure(console)] if "j" in only else []
    if only == "j":  # which needs no Spark
        return results
    with ground.prepared(stock="a" in only or "b" in only or "e" in only) as place:
        console.print(f"Preparations done: {place.how}.", highlight=False)
        if "a" in only:
            results.append(speed.measure(place, rounds, console))
        if "b" in only:
            results.append(memory.measure(place, console))
        if wanted := [part for part in "cd" if part in only]:
            results.extend(solution.measure(place, rounds, wanted, console))
        if "e" in only:
            results.append(grading.measure(place, *sizes, console))
        if "f" in only:
            results.append(cost.measure(place, *tried, console))
        if "g" in only:
            results.append(judging.measure(place, console))
        if "h" in only:
            results.append(door.measure(place, console))
        if "i" in only:
            results.append(runs.measure(place, console))
    return results


def _machine() -> dict[str, Any]:
    return {
        "at": time.strftime("%Y-%m-%d %H:%M:%S"),
        "cores": os.cpu_count(),
        "memory": psutil.virtual_memory().total,
        "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": sys.version.split()[0],
    }


def _as_interrupt(signum: int, frame: object) -> None:
    """End as on Ctrl-C, so that the server is stopped."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    typer.run(main)
