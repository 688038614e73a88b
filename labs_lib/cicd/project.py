"""The learner's project: the template's files, and the folder that they are laid into."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path("retail")  # below the notebook's current folder
_ROOT = Path(__file__).with_name("retail")

TEMPLATE: dict[str, str] = {
    path.relative_to(_ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(_ROOT.rglob("*"))
    if path.is_file() and path.suffix in {".py", ".toml"}
}


def lay_project(folder: Path | str = FOLDER, fresh: bool = False) -> Path:
    """Lay the template into the folder, beside what is there, and return its path.

    A file that is there already stays as it is, so that nobody's work is lost; with `fresh=True` the template's own files are
    put back to what they were. What a learner added stays in either case.
    """
    folder = Path(folder)
    for path, text in TEMPLATE.items():
        target = folder / path
        if fresh or not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    return folder
