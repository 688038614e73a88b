"""Notebooks as Databricks writes them in source files, and as Jupyter does; each can be made of the other.

A source file begins with "# Databricks notebook source"; "# COMMAND ----------" parts its cells, and "# MAGIC" stands before each line
of a cell that is in another language. Source: docs.databricks.com, "Import and export notebooks".
"""

from __future__ import annotations

import json
import re
from typing import Any

from labs_lib.workspace.ground.errors import InvalidParameter

_MARKS = {"PYTHON": "#", "R": "#", "SQL": "--", "SCALA": "//"}
_KERNELS = {"PYTHON": "python", "R": "r", "SQL": "sql", "SCALA": "scala"}


def text(content: bytes) -> str:
    """The content as text. Raises InvalidParameter if it isn't UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise InvalidParameter("The notebook's content is no UTF-8 text.") from None


def has_header(content: bytes, language: str) -> bool:
    """Whether a source file says in its first line that it is a notebook."""
    first = content.split(b"\n", 1)[0].strip().decode(errors="replace")
    return first == f"{_MARKS[language]} Databricks notebook source"


def language_of(content: bytes) -> str:
    """The language of a Jupyter notebook. Raises InvalidParameter if it is no notebook."""
    notebook = _read(content)
    names = {name: language for language, name in _KERNELS.items()}
    return names.get(
        str(notebook["metadata"].get("language_info", {}).get("name", "python")).lower(), "PYTHON"
    )


def as_source(content: bytes, format: str, language: str) -> bytes:
    """A notebook as a source file, with its first line."""
    mark = _MARKS[language]
    if format == "JUPYTER":
        cells = [_to_source(cell, mark) for cell in _read(content)["cells"]]
        body = f"\n\n{mark} COMMAND ----------\n\n".join(cells)
    elif has_header(content, language):
        return content
    else:
        body = text(content)
    return f"{mark} Databricks notebook source\n{body}".encode()


def as_jupyter(content: bytes, format: str, language: str) -> bytes:
    """A notebook as Jupyter's JSON; made of a source file it has no outputs."""
    if format == "JUPYTER":
        return content
    mark = re.escape(_MARKS[language])
    body = as_source(content, format, language).decode().partition("\n")[2]
    parts = re.split(rf"^{mark} COMMAND -+[ \t]*$", body, flags=re.MULTILINE)
    cells = [_to_cell(part.strip("\n"), mark) for part in parts if part.strip()]
    for number, cell in enumerate(cells):
        cell |= {"id": f"cell-{number}", "metadata": {}}
    metadata = {"language_info": {"name": _KERNELS[language]}}
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}).encode()


def _to_cell(part: str, mark: str) -> dict[str, Any]:
    lines = part.split("\n")
    plain = part
    if all(re.match(rf"{mark} MAGIC\b|\s*$", line) for line in lines):
        plain = "\n".join(re.sub(rf"^{mark} MAGIC ?", "", line) for line in lines)
        if match := re.match(r"%md(-sandbox)?\b[ \t]*\n?", plain):
            return {"cell_type": "markdown", "source": plain[match.end() :]}
    return {"cell_type": "code", "source": plain, "execution_count": None, "outputs": []}


def _to_source(cell: dict[str, Any], mark: str) -> str:
    source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
    if cell["cell_type"] == "code" and not source.startswith("%"):
        return source
    magic = source if cell["cell_type"] == "code" else f"%md\n{source}"
    return "\n".join(f"{mark} MAGIC {line}".rstrip() for line in magic.split("\n"))


def _read(content: bytes) -> dict[str, Any]:
    """What of a notebook's JSON is relied on is checked here: nbformat's own check takes seconds for 10 MB."""
    try:
        notebook = json.loads(content)
        sound = notebook["nbformat"] == 4 and isinstance(notebook["metadata"].get("language_info", {}), dict)
        for cell in notebook["cells"]:
            source = cell["source"]
            lines = [source] if isinstance(source, str) else source
            sound &= cell["cell_type"] in ("code", "markdown", "raw") and all(
                isinstance(line, str) for line in lines
            )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        sound = False
    if not sound:
        raise InvalidParameter("The content is no Jupyter notebook of version 4.")
    return dict(notebook)
