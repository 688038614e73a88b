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
from benchmarks.figures import Result, save, show
from labs_lib.errors import LabsError

PARTS = "abcd"  # (e) takes long and is measured when asked for
ALL_PARTS = "abcde"
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
) -> None:
    """Measure what the course costs: (a) speed, (b) memory, (c) check cells, (d) wall time against Spark's, (e) grading."""
    if not only or set(only) - set(ALL_PARTS):
        raise typer.BadParameter(f"{only!r} is not made of the letters {', '.join(ALL_PARTS)}.")
    console = Console()
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        results = _measure(only, rounds, (submissions, many), console)
    except LabsError as error:
        console.print(f"[red]{error}", soft_wrap=True, highlight=False)
        raise typer.Exit(1) from None
    show(results, console)
    save(results, _machine(), FILE)
    console.print(f"Figures and raw data: {FILE}", soft_wrap=True, highlight=False)


def _measure(only: str, rounds: int, sizes: tuple[int, int], console: Console) -> list[Result]:
    # Imported here: `--help` should not wait for papermill and pyspark.
    from benchmarks import grading, memory, solution, speed

    results = []
    with ground.prepared() as place:
        console.print(f"Preparations done: {place.how}.", highlight=False)
        if "a" in only:
            results.append(speed.measure(place, rounds, console))
        if "b" in only:
            results.append(memory.measure(place, console))
        if wanted := [part for part in "cd" if part in only]:
            results.extend(solution.measure(place, rounds, wanted, console))
        if "e" in only:
            results.append(grading.measure(place, *sizes, console))
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
