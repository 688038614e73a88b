"""What a bar chart says, read back from the picture: so that figures drawn can be held against figures counted."""

from __future__ import annotations

from typing import Any

from matplotlib.container import BarContainer
from matplotlib.figure import Figure


def bars_of(drawn: Figure) -> dict[str, Any]:
    """A figure's title, unit and bars by their labels; the parts of a stacked bar are added up.

    Returns:
        `title`, `unit` (the label of the axis that the bars grow along) and `bars`.
    """
    axis = drawn.axes[0]
    containers = [each for each in axis.containers if isinstance(each, BarContainer)]
    lying = bool(containers) and containers[0].orientation == "horizontal"
    ticks = axis.get_yticks() if lying else axis.get_xticks()
    labels = axis.get_yticklabels() if lying else axis.get_xticklabels()
    names = {round(float(at), 3): label.get_text() for at, label in zip(ticks, labels, strict=True)}
    bars: dict[str, float] = {}
    for container in containers:
        for bar in container.patches:
            middle = bar.get_y() + bar.get_height() / 2 if lying else bar.get_x() + bar.get_width() / 2
            name = names.get(round(float(middle), 3), "")
            bars[name] = bars.get(name, 0.0) + float(bar.get_width() if lying else bar.get_height())
    unit = axis.get_xlabel() if lying else axis.get_ylabel()
    title = axis.get_title("left") or axis.get_title() or drawn.get_suptitle()
    return {"title": title, "unit": unit, "bars": {name: round(value, 2) for name, value in bars.items()}}
