"""The first look at a notebook that was handed in, before nbformat and nbgrader read it: the file is hostile.

Only what grading needs is taken over: the cells' types, texts, ids and tags. What a cell of the module is
comes from the released notebook; outputs are never read, and the JSON's rules are strict for what is. Sentences are
for the instructor.
"""

from __future__ import annotations

import contextlib
import html
import itertools
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import nbformat
from nbformat import NotebookNode

from grader.classroom.recognise import Known, Odd, grade_id, known_cells, names_of, put_back
from grader.course.build import KERNELSPEC
from grader.course.notebook import PLAIN_ROLES, STEP_ROLES
from grader.vetting import Rejected
from grader.vetting.files import _OPEN_FILE, _OPEN_FOLDER, CHUNK, _kind, _opened
from labs_lib.vetting.text import Twice, parse_loosely, shown

FILE_BYTES, LARGE_BYTES = 64 * 2**20, 10 * 2**20  # refused, noted above it; reading takes up to 15 times that
DEPTH = 100  # of the JSON; a chart in an output has some twenty levels
CELLS, SOURCE = 2_000, 2_000_000  # cells, characters of all cells together
TAGS, TAG, SENTENCE = 20, 100, 320  # tags of a cell, characters of a tag and of a sentence
RUNS_CODE = re.compile(r"(?:java|vb)script\s*:|data\s*:\s*text/html|<script", re.IGNORECASE)  # in a page
CELL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
PYTHON = ("", "python", "python3", "ipython", "pyspark")  # what kernels that run Python call their language
SAVED_ANEW = "ask for a copy saved by JupyterLab, with its outputs cleared"

Object = dict[str, Any]


def read(path: Path, released: NotebookNode, boundary: Path) -> NotebookNode:
    """The submitted notebook at `path`, fit to be graded: valid in format 4.5, without outputs, for our kernel.

    Cells of the module, told by their nbgrader ids, carry the metadata that `released` gives them (each of
    them, if one is there twice); others carry plain tags. `boundary` is a trusted folder above `path`; below
    it nothing may be a link. Raises Rejected, and nothing else, with one sentence.
    """
    return examine(path, released, boundary)[0]


def examine(path: Path, released: NotebookNode, boundary: Path) -> tuple[NotebookNode, tuple[str, ...]]:
    """What read() returns, and a sentence for each kind of thing that was odd, mended or left out on the way.

    None for a notebook in which answers were filled in and cells of the learner's own added.
    """
    return examine_content(content(path, boundary), shown(path.name, 60), released)


def examine_content(data: bytes, where: str, released: NotebookNode) -> tuple[NotebookNode, tuple[str, ...]]:
    """The same for the bytes of a notebook file, which `where` names in sentences."""
    raw = _notebook(data, where)
    notes = list(_about_kernel(raw.get("metadata", {}), where))
    if len(data) > LARGE_BYTES:
        notes.append(f"{where} has {len(data) / 2**20:.0f} MiB; outputs and attachments are not read.")
    known, odd = known_cells(released), Odd(list)
    cells = [_cell(cell, number, where, odd) for number, cell in enumerate(raw["cells"], start=1)]
    for number, size in enumerate(itertools.accumulate(len(cell["source"]) for cell in cells), start=1):
        if size > SOURCE:
            _reject(f"Cell {number} of {where}", f"brings all cells together above {SOURCE:,} characters")
    named = _named(cells, released, where, odd)
    about = list(_about_cells(named, known))
    taken: set[str] = set()
    for number, (cell, name) in enumerate(named, start=1):
        own = cell["id"]
        _as_released(cell, name, number, known, taken)
        if own not in (None, cell["id"]):
            odd["an id that is none, or another cell's, was replaced"].append(number)
    about += [shown(sentence, SENTENCE) for sentence in put_back(named, released)]
    for number, (cell, name) in enumerate(named, start=1):
        if cell["id"] is None:
            _as_released(cell, name, number, known, taken)
    notes += [_sentence(f"{where}:", f"{what} ({_cells(numbers)})") for what, numbers in odd.items()]
    head = {"metadata": {"kernelspec": KERNELSPEC}, "nbformat": 4, "nbformat_minor": 5}
    nb = nbformat.from_dict(head | {"cells": [cell for cell, _ in named]})
    return nb, (*notes, *about)


def _as_released(cell: Object, name: str, number: int, known: Known, taken: set[str]) -> None:
    """Give a cell the metadata that the release gives it, and an id that is valid and no other cell's."""
    given = known[name].metadata if name else {"tags": _tags(cell["metadata"])}
    cell["metadata"] = {key: given[key] for key in ("nbgrader", "tags") if key in given}
    fresh = (f"cell-{number}-{n}" for n in itertools.count())
    valid = (each for each in (cell["id"], name) if isinstance(each, str) and CELL_ID.fullmatch(each))
    cell["id"] = next(each for each in itertools.chain(valid, fresh) if each not in taken)
    taken.add(cell["id"])


def _about_cells(named: list[tuple[Object, str]], known: Known) -> Iterator[str]:
    """Sentences on what is odd about the module's cells, yet can be graded."""
    places = {name: [n for n, (_, each) in enumerate(named, start=1) if each == name] for name in known}
    for name, cell in known.items():
        yield from _about_cell(name, cell, places[name], named)
    single = [(numbers[0], name) for name, numbers in places.items() if len(numbers) == 1]
    for (number, name), (above, moved) in itertools.pairwise(single):
        if above < number:
            what = f"stands above {name} (cell {number}), below which it was released"
            yield _sentence(f"{moved} (cell {above})", what)


def _about_cell(
    name: str, cell: NotebookNode, numbers: list[int], named: list[tuple[Object, str]]
) -> Iterator[str]:
    if not numbers:
        if name == "parameters":
            yield _sentence(name, "is gone; the seed is set in the first code cell")
        elif not cell.metadata["nbgrader"]["locked"]:
            yield _sentence(name, "is gone")
        return  # the others are put back
    if len(numbers) > 1:
        yield _sentence(name, f"is there {len(numbers)} times ({_cells(numbers)}); the last counts")
    last, place = named[numbers[-1] - 1][0], f"{name} (cell {numbers[-1]})"
    if last["cell_type"] != cell.cell_type:
        yield _sentence(
            place, f"is a {last['cell_type']} cell, but counts as the {cell.cell_type} cell it was"
        )
    if cell.metadata["nbgrader"]["locked"] and last["source"].strip() != cell.source.strip():
        yield _sentence(place, "was changed, but counts with the text that was released")


def content(path: Path, boundary: Path) -> bytes:
    """The bytes of a regular file that is reached from `boundary` through folders only. Raises Rejected."""
    parts = path.relative_to(boundary).parts if path.is_relative_to(boundary) else (os.pardir,)
    if os.pardir in parts:
        _reject(str(path), f"is not inside {boundary}", "")
    where, data, size = "/".join(parts), [b""], 0
    try:
        with contextlib.ExitStack() as stack:
            at = stack.enter_context(_opened(os.path.realpath(boundary), _OPEN_FOLDER, None, str(boundary)))
            for depth, name in enumerate(parts, start=1):
                inside, last = "/".join(parts[:depth]), depth == len(parts)
                # A look before opening, since opening a device can act on it; the descriptor is what decides.
                kind = os.stat(name, dir_fd=at, follow_symlinks=False).st_mode
                if not (stat.S_ISREG(kind) if last else stat.S_ISDIR(kind)):
                    what = "a file where a folder was" if stat.S_ISREG(kind) else _kind(kind)
                    _reject(inside, f"is {what}", "put the notebook itself there")
                at = stack.enter_context(_opened(name, _OPEN_FILE if last else _OPEN_FOLDER, at, inside))
            status = os.fstat(at)
            if not stat.S_ISREG(status.st_mode):
                _reject(where, f"is {_kind(status.st_mode)}", "put the notebook itself there")
            if status.st_nlink > 1:  # by another name it may be another learner's
                _reject(where, f"has {status.st_nlink} names (hard links)", "put a copy there")
            while size <= FILE_BYTES and (chunk := os.read(at, CHUNK)):
                data.append(chunk)
                size += len(chunk)
    except (OSError, ValueError) as error:
        _reject(where, f"can't be read: {getattr(error, 'strerror', error)}", "")
    if size > FILE_BYTES:
        _reject(where, f"is larger than {FILE_BYTES // 2**20} MiB")
    return b"".join(data)


def _notebook(data: bytes, where: str) -> Object:
    """The JSON of a notebook in format 4 with a list of not too many cells."""
    data = data.removeprefix(b"\xef\xbb\xbf")  # a mark that some editors write
    if not data.strip(b"\0 \t\r\n"):
        _reject(where, "holds only NUL bytes, as after a crash" if 0 in data else "is empty")
    if 0 in data[:4]:  # whether or not a mark stands before the first brace
        _reject(where, "is text in UTF-16 or UTF-32; notebooks are in UTF-8")
    try:
        raw = parse_loosely(data, DEPTH, where)
    except Rejected as refusal:
        _reject("", str(refusal).rstrip("."))
    if isinstance(raw, Twice):
        _reject(where, "gives the same name twice in one object")
    if not isinstance(raw, dict):
        _reject(where, f"holds {_what(raw)}, not a notebook")
    major, minor, cells = raw.get("nbformat"), raw.get("nbformat_minor", 0), raw.get("cells")
    if type(major) is not int or type(minor) is not int or minor < 0:
        _reject(where, f"gives its notebook format as {_what(major)} and {_what(minor)}, not as two numbers")
    if major != 4:
        _reject(where, f"is in notebook format {_what(major)}, not 4", "ask for a copy saved by JupyterLab 4")
    if not isinstance(cells, list):
        _reject(where, f"has {_what(cells)} for its cells, not a list")
    if len(cells) > CELLS:
        _reject(where, f"has {len(cells):,} cells", f"ask for a notebook of at most {CELLS:,}")
    return raw


def _cell(raw: Any, number: int, where: str, odd: Odd) -> Object:
    """A cell as nbformat wants it, but for its id and metadata, which are still the learner's."""
    place = f"Cell {number} of {where}"
    if not isinstance(raw, dict):
        _reject(place, f"is {_what(raw)}, not an object")
    if isinstance(raw, Twice):
        _reject(place, "gives the same name twice in one object")
    kind, source, outputs = raw.get("cell_type"), raw.get("source"), raw.get("outputs", [])
    if kind not in ("code", "markdown", "raw"):
        _reject(place, f"has {_what(kind)} for its cell_type, not code, markdown or raw")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        _reject(place, f"has {_what(source)} for its source, not text")
    if any("\ud800" <= character <= "\udfff" for character in source):
        _reject(place, "holds half of a surrogate pair, which is no text")
    if outputs != [] and raw.get("execution_count") is None:
        odd["outputs were there, but no run that left them"].append(number)
    if kind != "code" and RUNS_CODE.search(html.unescape(source)):
        odd["a link or a script that would run in a page is shown as text"].append(number)
    if not isinstance(metadata := raw.get("metadata", {}), dict):
        _reject(place, f"has {_what(metadata)} for its metadata, not an object")
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    cell = {"cell_type": kind, "source": source, "id": raw.get("id"), "metadata": metadata}
    return cell | ({"outputs": [], "execution_count": None} if kind == "code" else {})


def _about_kernel(metadata: Any, where: str) -> Iterator[str]:
    """A note on a kernel that is not the course's. Raises Rejected if it runs another language."""
    if not isinstance(metadata, dict):
        _reject(where, f"has {_what(metadata)} for its metadata, not an object")
    spec, info = _inner(metadata, "kernelspec"), _inner(metadata, "language_info")
    for language in (spec.get("language"), info.get("name")):
        if isinstance(language, str) and language.strip().lower() not in PYTHON:
            _reject(where, f"is in {_what(language)}, not in Python", "ask for one with a Python kernel")
    if spec.get("name") != KERNELSPEC["name"]:
        yield _sentence(where, f"names {_what(spec.get('name'))} as its kernel; the course's is used")


def _named(cells: list[Object], released: NotebookNode, where: str, odd: Odd) -> list[tuple[Object, str]]:
    """Each cell with the module's name for it, or "". Raises Rejected if none is an answer or a check."""
    known, stated = known_cells(released), [grade_id(cell["metadata"]) for cell in cells]
    for number, (cell, name) in enumerate(zip(cells, stated, strict=True), start=1):
        if name not in known and "nbgrader" in cell["metadata"]:
            odd["nbgrader's metadata names no cell of the module and was dropped"].append(number)
    names = names_of(cells, released, odd)
    gradings = [known[name].metadata["nbgrader"] for name in names if name]
    if not any(grading["grade"] or grading["solution"] for grading in gradings):
        foreign = next((f", but {_what(name)}" for name in stated if name and name not in known), "")
        _reject(where, f"has no answer or check cell of the module{foreign}", "ask for the module's notebook")
    return list(zip(cells, names, strict=True))


def _inner(raw: Object, key: str) -> Object:
    return value if isinstance(value := raw.get(key), dict) else {}


def _tags(metadata: Object) -> list[str]:
    """Those of a cell's tags that are valid and don't make it a cell of the module."""
    tags = metadata.get("tags")
    texts = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    plain = [tag for tag in texts if tag.partition(":")[0] not in PLAIN_ROLES + STEP_ROLES and "," not in tag]
    return list(dict.fromkeys(tag for tag in plain if tag.isprintable() and 0 < len(tag) <= TAG))[:TAGS]


def _cells(numbers: list[int]) -> str:
    return f"cell{'s'[: len(numbers) - 1]} {', '.join(map(str, numbers))}"


def _what(value: Any) -> str:
    """A JSON value in a sentence: the beginning of text or a number, of others the kind."""
    kinds = {dict: "an object", list: "a list", type(None): "nothing"}
    return kinds.get(type(value)) or shown(json.dumps(value[:40] if isinstance(value, str) else value), 60)


def _sentence(where: str, what: str, hint: str = "") -> str:
    return shown(f"{where} {what}{': ' if hint else ''}{hint}.".strip(), SENTENCE)


def _reject(where: str, what: str, hint: str = SAVED_ANEW) -> NoReturn:
    raise Rejected(_sentence(where, what, hint)) from None
