"""Notebooks that nobody can grade, by what is wrong with them. Each is made from a good one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

LEARNER_NOTEBOOK = (
    Path(__file__).resolve().parent.parent / "modules" / "01_optimization" / "01_optimization.ipynb"
)
_DELETED = object()


def files(notebook: Path = LEARNER_NOTEBOOK) -> dict[str, bytes]:
    """The bytes of each malformed file by its name, made from a learner notebook that is fine."""
    good = notebook.read_bytes()
    return {name: spoil(good) for name, (spoil, _) in CASES.items()}


def changed(*path: str | int, to: Any = _DELETED, indent: int | None = 1) -> Callable[[bytes], bytes]:
    """A function that gives a notebook's bytes with the value at `path` replaced, or deleted."""

    def spoil(good: bytes) -> bytes:
        raw = json.loads(good)
        inside = raw
        for key in path[:-1]:
            inside = inside[key]
        if to is _DELETED:
            del inside[path[-1]]
        else:
            inside[path[-1]] = to(inside.get(path[-1])) if callable(to) else to
        return json.dumps(raw, indent=indent).encode()

    return spoil


def without_course_cells(good: bytes) -> bytes:
    """The lesson alone: every cell that nbgrader knows is gone."""
    raw = json.loads(good)
    raw["cells"] = [cell for cell in raw["cells"] if "nbgrader" not in cell["metadata"]]
    return json.dumps(raw).encode()


def of_another_module(good: bytes) -> bytes:
    """Every module has a cell called parameters, so that one tells nothing."""
    return good.replace(b"answer-1", b"answer-7").replace(b"check-1", b"check-7")


def with_text(old: str, new: str) -> Callable[[bytes], bytes]:
    """A function that replaces the first `old` in a notebook's text, which must be there."""

    def spoil(good: bytes) -> bytes:
        assert old.encode() in good
        return good.replace(old.encode(), new.encode(), 1)

    return spoil


def with_value(text: str) -> Callable[[bytes], bytes]:
    """A function that gives a notebook one more value, written as it is."""
    return with_text('"nbformat":', f'"more": {text}, "nbformat":')


def nested(depth: int) -> str:
    """Lists in a list, as JSON."""
    return "[" * depth + "]" * depth


def old_format(major: int) -> Callable[[bytes], bytes]:
    """A function that gives a notebook the layout of formats 2 and 3."""

    def spoil(good: bytes) -> bytes:
        raw = json.loads(good)
        cells = raw.pop("cells")
        for cell in cells:
            if cell["cell_type"] == "code":
                cell["input"], cell["language"] = cell.pop("source"), "python"
        raw |= {"nbformat": major, "nbformat_minor": 0, "worksheets": [{"cells": cells, "metadata": {}}]}
        return json.dumps(raw).encode()

    return spoil


# By name: what spoils a good file, and what the sentence has to say of it (a regular expression).
CASES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty file": (lambda good: b"", "is empty"),
    "spaces only": (lambda good: b" \r\n\t", "is empty"),
    "NUL bytes only": (lambda good: bytes(len(good)), "only NUL bytes"),
    "not JSON": (lambda good: b"import pandas as pd\n", "not valid JSON.*line 1 column 1"),
    "an HTML page": (lambda good: b"<!DOCTYPE html><title>Log in</title>", "not valid JSON.*line 1 column 1"),
    "a zip file": (
        lambda good: b"PK\x03\x04\x14\x00\x00\x00\x08\x00\xb1\xe2" + good[:99],
        "UTF-8 at byte 10",
    ),
    "JSON truncated in a text": (
        lambda good: good[: good.index(b"SEED") + 2],
        r"Unterminated string.*line \d+",
    ),
    "JSON truncated between cells": (lambda good: good[: good.rindex(b"  {\n")], r"not valid JSON.*line \d+"),
    "two notebooks in a row": (lambda good: good + good, r"Extra data: line \d+"),
    "a merge's conflict marks": (
        with_text('  "cell_type": ', '<<<<<<< HEAD\n  "cell_type": '),
        r"not valid JSON.*line 4 column",
    ),
    "UTF-16 with a mark": (lambda good: good.decode().encode("utf-16"), "UTF-16"),
    "UTF-16 without a mark": (lambda good: good.decode().encode("utf-16-be"), "UTF-16"),
    "UTF-32": (lambda good: good.decode().encode("utf-32-le"), "UTF-32"),
    "Latin-1": (lambda good: good.replace(b"# ", b"# \xbb", 1), r"UTF-8 at byte \d+"),
    "a NUL byte in a text": (with_text("SEED", "SE\0ED"), r"Invalid control character at: line \d+"),
    "a byte flipped to a control character": (with_text("SEED", "SE\x0cED"), "Invalid control character"),
    "a JSON list": (lambda good: b"[" + good + b"]", "holds a list"),
    "a JSON string": (lambda good: b'"notebook"', 'holds "notebook"'),
    "null": (lambda good: b"null", "holds nothing"),
    "an empty object": (lambda good: b"{}", "notebook format as nothing"),
    "the cells alone": (lambda good: json.dumps(json.loads(good)["cells"]).encode(), "holds a list"),
    "no format": (changed("nbformat"), "notebook format as nothing"),
    "the format a string": (changed("nbformat", to="4"), 'notebook format as "4"'),
    "the format a truth": (changed("nbformat", to=True), "notebook format as true"),
    "the format 4.0": (changed("nbformat", to=4.0), r"notebook format as 4\.0"),
    "the minor format a list": (changed("nbformat_minor", to=[5]), "notebook format as 4 and a list"),
    "the minor format negative": (changed("nbformat_minor", to=-1), "notebook format as 4 and -1"),
    "format 2": (old_format(2), "format 2, not 4"),
    "format 3": (old_format(3), "format 3, not 4"),
    "format 99": (changed("nbformat", to=99), "format 99, not 4"),
    "no cells": (changed("cells"), "has nothing for its cells"),
    "the cells an object": (changed("cells", to={"0": {}}), "an object for its cells"),
    "the cells a string": (changed("cells", to="x" * 10**6), '"x{40}" for its cells'),
    "an empty list of cells": (changed("cells", to=[]), "no answer or check cell"),
    "too many cells": (changed("cells", to=lambda cells: cells * 200, indent=None), r"has [\d,]+ cells"),
    "a million cells": (
        changed("cells", to=lambda cells: [{}] * 10**6, indent=None),
        "more than 2,000,000 items",
    ),
    "a cell a string": (changed("cells", 4, to="cell"), 'Cell 5 of .* is "cell", not an object'),
    "a cell null": (changed("cells", 0, to=None), "Cell 1 of .* is nothing"),
    "a cell without a type": (changed("cells", 6, "cell_type"), "Cell 7 of .* nothing for its cell_type"),
    "a cell of an unknown type": (
        changed("cells", 6, "cell_type", to="sql"),
        'Cell 7 of .* "sql" for its cell_type',
    ),
    "a cell's type an object": (
        changed("cells", 6, "cell_type", to={}),
        "Cell 7 of .* an object for its cell_type",
    ),
    "a cell without a source": (changed("cells", 2, "source"), "Cell 3 of .* nothing for its source"),
    "a source a number": (changed("cells", 2, "source", to=7), "Cell 3 of .* 7 for its source"),
    "a source an object": (
        changed("cells", 2, "source", to={"0": "x"}),
        "Cell 3 of .* an object for its source",
    ),
    "a source a list of numbers": (
        changed("cells", 2, "source", to=["x", 7]),
        "Cell 3 of .* a list for its source",
    ),
    "a source of 10 MB": (
        changed("cells", 3, "source", to="x" * 10**7),
        "Cell 4 of .* above 2,000,000 characters",
    ),
    "the metadata a list": (changed("metadata", to=[]), "a list for its metadata"),
    "a cell's metadata a string": (
        changed("cells", 8, "metadata", to="x"),
        'Cell 9 of .* "x" for its metadata',
    ),
    "a cell's metadata null": (
        changed("cells", 8, "metadata", to=None),
        "Cell 9 of .* nothing for its metadata",
    ),
    "nested too deep": (with_value(nested(50_000)), "nested deeper than 100"),
    "nested a little too deep": (with_value(nested(100)), "nested deeper than 100"),
    "an integer of 5,000 digits for the format": (
        with_text('"nbformat": 4', f'"nbformat": {"9" * 5_000}'),
        "notebook format as nothing",
    ),
    "the format not a number": (with_text('"nbformat": 4', '"nbformat": NaN'), "notebook format as nothing"),
    "infinity for a source": (
        lambda good: good.replace(b'"source": [', b'"source": 1e999, "was": [', 1),
        "Cell 1 of .* nothing for its source",
    ),
    "a source given twice": (
        with_text('"source": [', '"source": "", "source": ['),
        "Cell 1 of .* same name twice",
    ),
    "cells given twice": (with_text("{", '{"cells": [],'), "same name twice"),
    "half a surrogate pair": (changed("cells", 4, "source", to="\ud83d"), "surrogate"),
    "R by its kernel": (
        changed("metadata", "kernelspec", to={"name": "ir", "display_name": "R", "language": "R"}),
        'is in "R"',
    ),
    "Scala by its language": (changed("metadata", "language_info", to={"name": "scala"}), 'is in "scala"'),
    "a language of a megabyte": (
        changed("metadata", "language_info", to={"name": "s" * 10**6}),
        'is in "s{40}"',
    ),
    "another module": (of_another_module, 'no answer or check cell of the module, but "answer-7'),
    "lessons without exercises": (without_course_cells, "no answer or check cell of the module:"),
}
