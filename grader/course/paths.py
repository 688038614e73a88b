"""Where the parts of a course lie on disk, and which of its modules are written."""

from __future__ import annotations

from pathlib import Path

from labs_lib import registry
from labs_lib.errors import LabsError
from labs_lib.registry import Module, Registry


def find_root(start: Path | None = None) -> Path:
    """Return the nearest course folder at or above `start` (by default here), else our own."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "nbgrader_config.py").is_file() and (folder / "labs_lib" / "registry.toml").is_file():
            return folder
    return Path(__file__).resolve().parents[2]


def registry_of(root: Path) -> Registry:
    """Return the validated registry of the course at `root`; raises LabsError if it breaks a rule."""
    return registry.load(root / "labs_lib" / "registry.toml")


def source_file(root: Path, module: str) -> Path:
    """Return the jupytext percent file that people edit and review."""
    return root / "solutions" / module / f"{module}.py"


def solution_file(root: Path, module: str) -> Path:
    """Return the instructor notebook built from the source file, outputs stored."""
    return root / "solutions" / module / f"{module}.ipynb"


def learner_file(root: Path, module: str) -> Path:
    """Return the learner notebook that nbgrader generates."""
    return root / "modules" / module / f"{module}.ipynb"


def expected_file(root: Path, module: str) -> Path:
    """Return the file of the solution's digests under seed 0."""
    return root / "datasets" / "expected" / f"{module}.json"


def chosen(root: Path, name: str | None = None) -> list[Module]:
    """Return the module called `name`, or all of them, written or not.

    Raises LabsError if there is no such module or it is named and not yet written.
    """
    course = registry_of(root)
    if name is None:
        return list(course.modules)
    module = registry.module(name, course)
    if not module.written:
        raise LabsError(
            f"Module {name} is not yet written; labs_lib/registry.toml has written = false for its exercises."
        )
    return [module]
