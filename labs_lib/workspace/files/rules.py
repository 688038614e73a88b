"""Paths of the workspace's tree, and what an import makes: a notebook or a file. No HTTP, no SQL.

Source: docs.databricks.com, "Workspace API 2.0".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from labs_lib.workspace.files import notebooks
from labs_lib.workspace.ground.errors import InvalidParameter, WorkspaceError

Language = Literal["PYTHON", "SQL", "SCALA", "R"]
EXTENSIONS: dict[str, Language] = {".py": "PYTHON", ".sql": "SQL", ".scala": "SCALA", ".r": "R"}
MOST_BYTES = 10 * 2**20  # of one object, as published
MOST_PARTS, LONGEST_PART = 40, 255


class TooBig(WorkspaceError):
    error_code = "MAX_NOTEBOOK_SIZE_EXCEEDED"


class NotEmpty(WorkspaceError):
    error_code = "DIRECTORY_NOT_EMPTY"


@dataclass(frozen=True)
class Item:
    """What is put into the tree. `format` says how a notebook's content is kept: SOURCE or JUPYTER."""

    path: str
    kind: Literal["NOTEBOOK", "FILE"]
    content: bytes
    language: str | None = None
    format: str = "SOURCE"


def normal(path: str) -> str:
    """The path without /Workspace in front and slashes at the end. Raises InvalidParameter if it is none."""
    parts = path.split("/")[1:]
    if not path.startswith("/") or any(c < " " or c == "\x7f" for c in path):
        raise InvalidParameter(f"The path {path[:200]!r} is no absolute path, such as /Shared/report.")
    if parts[-1] == "":
        parts.pop()
    if parts and parts[0] == "Workspace":
        parts.pop(0)
    if (
        any(part in ("", ".", "..") or len(part.encode()) > LONGEST_PART for part in parts)
        or len(parts) > MOST_PARTS
    ):
        raise InvalidParameter(
            f"The path {path[:200]!r} has a part that is empty, '.' or '..', or longer than {LONGEST_PART} bytes, or it is too deep."
        )
    return "/" + "/".join(parts)


def parent(path: str) -> str:
    """The folder that a normal path is in; the root is in itself."""
    return path.rpartition("/")[0] or "/"


def imported(path: str, content: bytes, format: str | None, language: str | None) -> Item:
    """What an import of that content makes, and under which path.

    Raises InvalidParameter if format, language and content don't go together, TooBig for more than 10 MB.
    """
    if len(content) > MOST_BYTES:
        raise TooBig(
            f"The content of {path} has {len(content)} bytes; {MOST_BYTES} are the most that one object may have."
        )
    name, dot, extension = path.rpartition("/")[2].rpartition(".")
    known = EXTENSIONS.get(f".{extension.lower()}") if dot and name else None
    without = path[: -len(extension) - 1]
    if format in (None, "SOURCE"):
        if not language:
            raise InvalidParameter(
                f"The import of {path} as SOURCE needs a language: PYTHON, SQL, SCALA or R; with the format AUTO a file stays a file."
            )
        notebooks.text(content)
        return Item(path, "NOTEBOOK", content, language)
    if format == "JUPYTER":
        return Item(path, "NOTEBOOK", content, notebooks.language_of(content), "JUPYTER")
    if format == "AUTO" and known and notebooks.has_header(content, known):
        return Item(without, "NOTEBOOK", content, known)
    if format == "AUTO" and extension.lower() == "ipynb" and dot and name:
        return Item(without, "NOTEBOOK", content, notebooks.language_of(content), "JUPYTER")
    if format in ("AUTO", "RAW"):
        return Item(path, "FILE", content)
    raise InvalidParameter(
        f"The format {format} can't be imported here; there are SOURCE, JUPYTER, AUTO and RAW."
    )


def exported(item: Item, format: str | None) -> tuple[bytes, str]:
    """Content and file type of an export. Raises InvalidParameter for a format that the object can't have."""
    if item.kind == "FILE":
        if format not in (None, "SOURCE", "AUTO", "RAW"):
            raise InvalidParameter(f"{item.path} is a file and can't be exported as {format}.")
        return item.content, item.path.rpartition(".")[2] if "." in item.path else ""
    wanted = item.format if format == "AUTO" else format or "SOURCE"
    if wanted == "JUPYTER":
        return notebooks.as_jupyter(item.content, item.format, item.language or "PYTHON"), "ipynb"
    if wanted == "SOURCE":
        source = notebooks.as_source(item.content, item.format, item.language or "PYTHON")
        return source, next(e[1:] for e, language in EXTENSIONS.items() if language == item.language)
    raise InvalidParameter(f"The format {wanted} can't be exported here; there are SOURCE, JUPYTER and AUTO.")
