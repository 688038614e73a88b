"""Plots of the course: matplotlib, one look, and beside each picture the figures that it shows.

`show` publishes image and text together: the text is what nbval compares and what a screen reader reads.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure
from pyspark.sql.connect.dataframe import DataFrame

from labs_lib.measuring import plans

BLUE, ORANGE, GREEN, GREY = "#1f77b4", "#e8710a", "#2e7d32", "#9e9e9e"


def figure(width: float = 7.5, height: float = 3.2, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """An empty figure with so many axes side by side; sizes in inches."""
    drawn = Figure(figsize=(width, height), layout="constrained", dpi=100)
    axes = [drawn.add_subplot(1, columns, number + 1) for number in range(columns)]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return drawn, axes


def bars(
    values: Mapping[str, float],
    title: str,
    unit: str,
    highlight: Sequence[str] = (),
    digits: int = 4,
    exact: bool = True,
) -> None:
    """Show a horizontal bar per entry with its value; entries in `highlight` stand out.

    `digits` significant ones are shown. A replay compares them too, unless `exact=False` says that they vary a little from run to run: then it
    compares which bar is longer than which.
    """
    drawn, (axis,) = figure(height=1.0 + 0.32 * len(values))
    names = list(values)
    colours = [ORANGE if name in highlight else BLUE for name in names]
    container = axis.barh(names, [values[name] for name in names], color=colours)
    axis.bar_label(container, fmt=lambda value: _rounded(value, digits), padding=3)
    axis.invert_yaxis()
    axis.set_title(title, loc="left")
    axis.set_xlabel(unit)
    axis.margins(x=0.12)
    show(drawn, digits, exact)


def _rounded(value: float, digits: int) -> str:
    """A number with so many significant digits and never an exponent: 10,360 of 10,358."""
    short = f"{value:,.{digits}g}"
    return f"{float(short.replace(',', '')):,.0f}" if "e+" in short else short


def ranges(
    panels: Mapping[str, Sequence[tuple[Any, Any]]], title: str, label: str, exact: bool = True
) -> None:
    """Show each data file's range of a column as a line: how well data skipping can leave files out.

    `panels` maps a panel's name (a column, a layout) to its files' (minimum, maximum), numbers or dates. Where files are cut at other values in every
    run, as Z-order does, `exact=False` keeps the values out of the description.
    """
    drawn, axes = figure(width=8.5, height=3.0, columns=len(panels))
    for axis, (name, files) in zip(axes, panels.items(), strict=True):
        axis.hlines(
            range(len(files)), [low for low, _ in files], [high for _, high in files], color=BLUE, linewidth=3
        )
        axis.set_title(f"{name}: {len(files)} files", loc="left", fontsize=10)
        axis.set_xlabel(label)
        axis.set_yticks([])
        if files and isinstance(files[0][0], date):
            axis.xaxis.set_major_formatter(ConciseDateFormatter(axis.xaxis.get_major_locator()))
    axes[0].set_ylabel("data files")
    drawn.suptitle(title, x=0.01, ha="left")
    show(drawn, exact=exact)


def plan_graph(frame: DataFrame, title: str) -> None:
    """Show the physical plan that Spark chooses for a DataFrame as a tree: scans below, the result on top.

    What moves rows between machines is orange, joins are green.
    """
    top = plans.parse(frame._explain_string(mode="simple"))
    places: dict[int, tuple[float, int]] = {}
    leaves = itertools.count()

    def place(node: plans.Operator, depth: int) -> float:
        across = [place(child, depth + 1) for child in node.children]
        places[id(node)] = (sum(across) / len(across) if across else float(next(leaves)), depth)
        return places[id(node)][0]

    place(top, 0)
    deepest = max(depth for _, depth in places.values())
    width = max(x for x, _ in places.values()) + 1
    drawn, (axis,) = figure(width=min(2.4 + 2.9 * width, 11), height=0.9 + 0.42 * deepest)
    axis.set_axis_off()
    axis.set_title(title, loc="left")
    axis.set_xlim(-0.6, width - 0.4)
    axis.set_ylim(-deepest - 0.5, 0.5)
    for node in top.walk():
        x, depth = places[id(node)]
        for child in node.children:
            axis.annotate(
                "",
                (x, -depth - 0.2),
                (places[id(child)][0], -depth - 0.8),
                arrowprops={"arrowstyle": "->", "color": GREY},
            )
        colour = ORANGE if node.name.endswith("Exchange") else GREEN if node.name in plans.JOINS else BLUE
        name = f"{node.name} {plans.brief(node).split(' ')[0]}" if node.name == "FileScan" else node.name
        axis.text(x, -depth, name, ha="center", va="center", fontsize=8, color="white",
                  bbox={"boxstyle": "round,pad=0.25", "facecolor": colour, "edgecolor": "none"})  # fmt: skip
    show(drawn)


def describe(drawn: Figure, digits: int = 4, exact: bool = True) -> str:
    """What a figure shows, as text: titles, labels, and the plotted numbers to so many significant digits.

    `exact=False` puts the rank of a bar, 1 for the longest, in place of its length, and leaves out the ends of horizontal lines.
    """
    lines = [f"Plot: {drawn.get_suptitle()}" if drawn.get_suptitle() else "Plot"]
    for axis in drawn.axes:
        title = axis.get_title(loc="left") or axis.get_title()
        lines.append(f"  {title} [{axis.get_xlabel()} | {axis.get_ylabel()}]")
        labels = [tick.get_text() for tick in axis.get_yticklabels()]
        for container in axis.containers:
            widths = [(bar.get_width(), bar.get_height()) for bar in container.patches]  # type: ignore[attr-defined]
            horizontal = len({round(height, 9) for _, height in widths}) == 1
            numbers = [width if horizontal else height for width, height in widths]
            names = labels if horizontal else [tick.get_text() for tick in axis.get_xticklabels()]
            pairs = (
                zip(names, numbers, strict=False)
                if len(names) == len(numbers)
                else (("", n) for n in numbers)
            )
            ranks = {number: rank for rank, number in enumerate(sorted(numbers, reverse=True), start=1)}
            lines.extend(
                f"    {name}: {f'{number:.{digits}g}' if exact else f'number {ranks[number]} by length'}"
                for name, number in pairs
            )
        for line in axis.lines:
            across, up = np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist()
            points = ", ".join(f"({x}, {_number(y, digits)})" for x, y in zip(across, up, strict=True))
            lines.append(f"    line {line.get_label()}: {points}")
        for collection in axis.collections:
            paths = [np.asarray(path.vertices).tolist() for path in collection.get_paths()]
            ends = ", ".join(f"{p[0][0]:.{digits}g} to {p[-1][0]:.{digits}g}" for p in paths if len(p) == 2)
            lines.extend([f"    spans: {ends}"] if ends and exact else [])
        texts = [text.get_text() for text in axis.texts if text.get_text()]
        # A bar's label repeats its value.
        lines.extend(f"    {text}" for text in texts if not axis.containers)
    return "\n".join(lines)


def show(drawn: Figure, digits: int = 4, exact: bool = True) -> None:
    """Publish a figure in the notebook, with its description (see `describe`) as the text beside the image."""
    from IPython.display import display

    buffer = io.BytesIO()
    with matplotlib.rc_context({"font.size": 9}):
        drawn.savefig(buffer, format="png", metadata={"Software": None})
    display({"image/png": buffer.getvalue(), "text/plain": describe(drawn, digits, exact)}, raw=True)


def _number(value: object, digits: int) -> str:
    return f"{value:.{digits}g}" if isinstance(value, int | float) else str(value)
