"""Which cell of a notebook is which cell of the module, and how a check cell that is gone is put back.

A cell is known by nbgrader's metadata, else by its own id, else by what it says and where it stands. None of this can claim
points: the content of a check cell comes from the release, and what an answer is worth is judged by the evidence that
its check leaves.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from nbformat import NotebookNode

Cell = dict[str, Any]
Known = dict[str, NotebookNode]  # the released notebook's cells by nbgrader's id, in order
Odd = defaultdict[str, list[int]]  # what is noted, and the numbers of the cells

STUB = "# YOUR CODE HERE"
_CALL = r"""check\(\s*["']([\w.]{1,20})["']\s*\)\s*;?[ \t]*(?:\#[^\n]*)?"""
_CHECK = re.compile(rf"\s*{_CALL}\s*")
_CHECK_LINE = re.compile(rf"^{_CALL}$", re.MULTILINE)


def names_of(cells: Sequence[Cell], released: NotebookNode, odd: Odd) -> list[str]:
    """The module's name for each cell, or "". What was not known by nbgrader's own metadata goes into `odd`."""
    known = known_cells(released)
    names = [name if (name := grade_id(cell["metadata"])) in known else "" for cell in cells]
    lost = known.keys() - set(names)
    for index, cell in enumerate(cells):
        if not names[index] and isinstance(own := cell["id"], str) and own in lost:
            names[index] = own
            odd["nbgrader's metadata was lost, and put back by the cell's own id"].append(index + 1)
    _by_text(cells, names, released, odd)
    _apart(cells, names, known, odd)
    return names


def known_cells(released: NotebookNode) -> Known:
    """The cells of the released notebook that nbgrader knows, by id."""
    return {name: cell for cell in released.cells if (name := grade_id(cell.metadata))}


def grade_id(metadata: Cell) -> str:
    """The id that nbgrader's metadata gives a cell, or "" where there is none."""
    inner = metadata.get("nbgrader")
    name = inner.get("grade_id") if isinstance(inner, dict) else None
    return name if isinstance(name, str) else ""


def put_back(named: list[tuple[Cell, str]], released: NotebookNode) -> Iterator[str]:
    """Insert, with the released text, what checks and sets up and is gone; yields a sentence for each.

    A check goes behind its answer and the learner's own cells that follow it; where the answer is gone too, before the next cell
    of the module. The cell of the seed is not put back: without it the first code cell sets the seed.
    """
    known = known_cells(released)
    given = _texts(released)
    for name, cell in known.items():
        if name == "parameters" or cell.cell_type != "code" or not cell.metadata["nbgrader"]["locked"]:
            continue
        places = {
            each: at for at, (_, each) in enumerate(named) if each
        }  # the last, which is the one that counts
        if name in places:
            continue
        at, where = _place(name, list(known), places, named, given)
        fresh = {"cell_type": cell.cell_type, "source": cell.source, "id": None, "metadata": {}}
        named.insert(at, (fresh | {"outputs": [], "execution_count": None}, name))
        yield f"{name} was gone and was put back {where}, as it was released."


def _place(
    name: str, order: list[str], places: dict[str, int], named: list[tuple[Cell, str]], given: set[str]
) -> tuple[int, str]:
    """Where a cell of the module is put back: an index, and the end of a sentence."""
    before, after = order[: order.index(name)], order[order.index(name) + 1 :]
    if (answer := name.replace("check-", "answer-", 1)) == name:
        previous = next((each for each in reversed(before) if each in places), "")
        return (places[previous] + 1, f"behind {previous}") if previous else (0, "at the top")
    if answer in places:
        at = places[answer] + 1
        while at < len(named) and not named[at][1] and named[at][0]["source"].strip() not in given:
            at += 1
        return at, f"behind {answer}"
    following = next((each for each in after if each in places), "")
    return (places[following], f"above {following}") if following else (len(named), "at the end")


def _by_text(cells: Sequence[Cell], names: list[str], released: NotebookNode, odd: Odd) -> None:
    """Name cells that have lost nbgrader's metadata and their ids: locked ones by their text, answers by their place."""
    known = known_cells(released)
    lost = {name: cell for name, cell in known.items() if name not in names}
    texts = {cell.source.strip(): name for name, cell in lost.items() if cell.metadata["nbgrader"]["locked"]}
    found: list[int] = []
    for index, cell in enumerate(cells):
        call = _CHECK.fullmatch(cell["source"]) if len(cell["source"]) < 500 else None
        name = texts.get(cell["source"].strip()) or (_check(call[1]) if call else "")
        if not names[index] and name in lost and not grade_id(cell["metadata"]):
            names[index] = name
            found.append(index)
    given, order = _texts(released), list(known)
    ids = [cell.id for cell in released.cells]  # a lesson's cell stays one, whatever was written into it
    for name in lost:
        if not known[name].metadata["nbgrader"]["solution"]:
            continue
        later = order[order.index(name) + 1 :]
        end = next((names.index(each) for each in later if each in names), len(cells))
        above = [index for index in range(end) if names[index]]
        between = range(above[-1] + 1 if above else 0, end)
        texts_there = {
            index: cells[index]["source"].strip()
            for index in between
            if not grade_id(cells[index]["metadata"])  # else it says itself that it is another's
        }
        own = [
            index
            for index, text in texts_there.items()
            if cells[index]["cell_type"] == "code" and text not in given and cells[index]["id"] not in ids
        ]
        stub = known[name].source.replace(STUB, "").strip()
        untouched = [index for index, text in texts_there.items() if text == known[name].source.strip()]
        marked = [index for index in own if stub and stub in texts_there[index]]
        placed = own if name.replace("answer-", "check-", 1) in names else []  # right above its check
        if chosen := (untouched or marked or placed)[-1:]:
            names[chosen[0]] = name
            found.append(chosen[0])
    for index in sorted(found):
        what = "nbgrader's metadata and the cell's id were lost; it was known by its text and place"
        odd[what].append(index + 1)


def _apart(cells: Sequence[Cell], names: list[str], known: Known, odd: Odd) -> None:
    """Where an answer was merged into the check cell below it, the cell is the answer; its check is put back."""
    for index, (cell, name) in enumerate(zip(cells, names, strict=True)):
        answer = name.replace("check-", "answer-", 1)
        if answer == name or answer in names or answer not in known or names.count(name) > 1:
            continue
        calls = [_check(step) for step in _CHECK_LINE.findall(cell["source"])]
        if name in calls and not _CHECK.fullmatch(cell["source"]):
            names[index] = answer
            odd["an answer merged into its check cell is the answer"].append(index + 1)


def _check(step: str) -> str:
    return f"check-{step.replace('.', '-')}"


def _texts(released: NotebookNode) -> set[str]:
    return {cell.source.strip() for cell in released.cells}
