"""The learner's project: the template's files, and the folder that they are laid into."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

NAME = "retail"
HIDDEN = (
    ".labs"  # the workspace beside a learner's notebooks: nobody would look for a project to edit in there
)
_ROOT = Path(__file__).with_name("retail")

TEMPLATE: dict[str, str] = {
    path.relative_to(_ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(_ROOT.rglob("*"))
    if path.is_file() and path.suffix in {".py", ".toml"}
}


# What the template is: no import leads to its files, so by this the ledger sees that they changed.
DIGEST = "448ccdae49fcb0c7"


def digest() -> str:
    """The digest of the template's files."""
    whole = "\0".join(part for path in sorted(TEMPLATE) for part in (path, TEMPLATE[path]))
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def project_folder() -> Path:
    """Where the learner's project lies: `retail/` beside the notebook; for a run in a workspace of its own, in that."""
    workspace = Path(os.environ.get("LABS_WORKSPACE") or HIDDEN)
    return (Path.cwd() if workspace.name == HIDDEN else workspace) / NAME


def lay_project(folder: Path | str | None = None, fresh: bool = False) -> Path:
    """Lay the template into the folder (`project_folder()`), beside what is there, and return its path.

    A file that is there already stays as it is, so that nobody's work is lost; with `fresh=True` the template's own files are
    put back to what they were. What a learner added stays in either case.
    """
    folder = Path(folder) if folder is not None else project_folder()
    for path, text in TEMPLATE.items():
        if fresh or not (folder / path).exists():
            write(folder / path, text)
    return folder


def write(path: Path, text: str) -> Path:
    """Write a text file, with the folders above it, and return its path: what `%%writefile` does, for an answer that is run as plain Python."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.lstrip("\n"), encoding="utf-8")
    return path
