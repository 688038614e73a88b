"""A measured figure, its target, and how both are shown and kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One measured figure. `better` tells on which side of the target it should be; no target: for information."""

    part: str
    name: str
    value: float
    unit: str
    target: float | None = None
    better: Literal["higher", "lower"] = "lower"

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        if self.target is None:
            return None
        return self.value >= self.target if self.better == "higher" else self.value <= self.target


@dataclass(frozen=True)
class Result:
    """What one part measured: figures, a sentence that says what was counted, and raw data for the JSON file."""

    figures: tuple[Figure, ...]
    counted: str
    raw: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """What (f) tries beside the course's own settings: Spark's, options of the JVM, and whether the flight recorder is on."""

    conf: dict[str, str] = field(default_factory=dict)
    jvm: tuple[str, ...] = ()
    record: bool = False


def show(results: Sequence[Result], console: Console) -> None:
    """Print every figure with its target, then what was counted."""
    table = Table(title="Benchmarks: ratios and counts of this run", title_justify="left")
    table.add_column("")
    table.add_column("figure")
    table.add_column("measured", justify="right")
    table.add_column("target", justify="right")
    table.add_column("")
    for result in results:
        for figure in result.figures:
            sign = "≥" if figure.better == "higher" else "≤"
            target = "" if figure.target is None else f"{sign} {figure.target:g} {figure.unit}"
            word = {True: "[green]met", False: "[red]MISSED", None: ""}[figure.met]
            table.add_row(figure.part, figure.name, f"{figure.value:,.2f} {figure.unit}", target, word)
        table.add_section()
    console.print(table)
    for result in results:
        console.print(result.counted, highlight=False)
        console.print()


def save(results: Sequence[Result], machine: dict[str, Any], path: Path) -> None:
    """Keep figures and raw data as JSON; parts of an earlier file that were not measured now are kept beside them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parts: dict[str, Any] = {}
    if path.exists():
        parts = json.loads(path.read_text()).get("parts", {})
    for result in results:
        for part in {figure.part for figure in result.figures}:
            parts[part] = {
                "machine": machine,
                "figures": [asdict(f) | {"met": f.met} for f in result.figures if f.part == part],
                "counted": result.counted,
                "raw": result.raw,
            }
    path.write_text(json.dumps({"parts": dict(sorted(parts.items()))}, indent=1) + "\n")
