"""A learner's outputs and notes as they may stand in feedback: text and pictures, bounded; no HTML, no scripts, no links.

What comes in is the parsed JSON of a notebook that hostile code may have written.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import re
from collections.abc import Collection
from typing import Any

import nbformat
from nbformat import NotebookNode

from grader.vetting.files import shown

OUTPUTS = 50  # of a cell
TEXT = 20_000  # characters of one output
LINES = 60  # of a traceback
PICTURE = 2 * 2**20  # bytes of base64
CELL = 4 * 2**20  # bytes and characters of all outputs of a cell
PNG = b"\x89PNG\r\n\x1a\n"


def outputs_of(executed: Any, cells: int) -> list[list[NotebookNode]]:
    """The outputs of each cell of an executed notebook; empty ones if it does not have that many cells."""
    found = executed.get("cells") if isinstance(executed, dict) else None
    if not isinstance(found, list) or len(found) != cells:
        return [[] for _ in range(cells)]
    return [_of_cell(cell) for cell in found]


def as_text(notes: str) -> str:
    """Markdown that shows `notes` as they were typed.

    Formgrader and feedback render Markdown: with its HTML, with links to `javascript:`, and with formulas, whose \\href makes
    links too. Nothing is rendered in a fenced block, and a fence that is longer than any in the notes can't be closed by them.
    """
    fence = "~" * max(3, 1 + max(map(len, re.findall("~+", notes)), default=0))
    return f"{fence}\n{notes}\n{fence}"


def make_plain(cell: NotebookNode, given: Collection[str]) -> None:
    """Take from a learner's cell what a page would render: other than the course's own Markdown (`given`), notes become text."""
    grading = cell.metadata.get("nbgrader")
    cell.metadata = NotebookNode({"nbgrader": grading} if grading else {})
    cell.pop("attachments", None)
    if cell.cell_type != "code" and (cell.cell_type != "markdown" or cell.source not in given):
        cell.cell_type, cell.source = "markdown", as_text(cell.source)


def seconds_of(executed: Any, cells: int) -> list[float]:
    """Seconds that each cell says it took, 0 where it does not say: a figure for people, not for judging."""
    found = executed.get("cells") if isinstance(executed, dict) else None
    if not isinstance(found, list) or len(found) != cells:
        return [0.0] * cells
    return [_seconds(cell) for cell in found]


def _seconds(cell: Any) -> float:
    try:
        times = cell["metadata"]["execution"]
        begin, end = (
            datetime.datetime.fromisoformat(times[key])
            for key in ("iopub.execute_input", "shell.execute_reply")
        )
        return min(max((end - begin).total_seconds(), 0.0), 86_400.0)
    except (KeyError, TypeError, ValueError, AttributeError):
        return 0.0


def _of_cell(cell: Any) -> list[NotebookNode]:
    outputs = cell.get("outputs") if isinstance(cell, dict) else None
    kept: list[NotebookNode] = []
    size = 0
    for raw in outputs[:OUTPUTS] if isinstance(outputs, list) else []:
        output = _clean(raw) if isinstance(raw, dict) else None
        if output is None:
            continue
        size += _size(output)
        if size > CELL:
            break
        kept.append(output)
    return kept


def _size(output: NotebookNode) -> int:
    return sum(
        len(str(value))
        for value in (output.get("text", ""), output.get("data", ""), output.get("traceback", ""))
    )


def _clean(raw: dict[str, Any]) -> NotebookNode | None:
    kind = raw.get("output_type")
    if kind == "stream":
        return nbformat.v4.new_output("stream", name="stdout", text=_text(raw.get("text")))
    if kind == "error":
        lines = raw.get("traceback")
        traceback = [_text(line) for line in lines[-LINES:]] if isinstance(lines, list) else []
        name, value = (shown(_text(raw.get(key)), 2000) for key in ("ename", "evalue"))
        return nbformat.v4.new_output(
            "error", ename=name, evalue=value, traceback=traceback or [f"{name}: {value}"]
        )
    data = raw.get("data")
    if kind not in ("display_data", "execute_result") or not isinstance(data, dict):
        return None
    kept = {"text/plain": _text(data["text/plain"])} if "text/plain" in data else {}
    if picture := _picture(data.get("image/png")):
        kept["image/png"] = picture
    # Never an execute_result: in a grade cell nbgrader would read points from it.
    return nbformat.v4.new_output("display_data", data=kept) if kept else None


def _text(value: Any) -> str:
    if isinstance(value, list):
        value = "".join(part for part in value if isinstance(part, str))
    text = value if isinstance(value, str) else ""
    return text if len(text) <= TEXT else text[:TEXT] + "\n... the rest is left out ..."


def _picture(value: Any) -> str | None:
    if isinstance(value, list):
        value = "".join(part for part in value if isinstance(part, str))
    if not isinstance(value, str) or len(value) > PICTURE:
        return None
    try:
        data = base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    return base64.b64encode(data).decode() if data.startswith(PNG) else None
