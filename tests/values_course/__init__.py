"""A course of one small module whose answers are values, a function and a file: its box starts no Spark, so a submission takes seconds.

It is judged by the real grader and the real `labs_lib.checking`. A box shows the packages that its grader was imported from, so the
course has its own copy of them, with another registry and the room of its module: commands that run in its folder are that grader's.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from grader.course import build, paths

REPOSITORY = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
NAME = "01_values"


def make(root: Path, settings: str = "") -> None:
    """Make the course in the folder `root`, released; `settings` goes into its nbgrader_config.py."""
    for package in ("labs_lib", "datasets", "grader"):
        shutil.copytree(
            REPOSITORY / package, root / package
        )  # with what Python compiled, which fits copies of the same age
    room = root / "labs_lib" / "values" / "checks"
    room.mkdir(parents=True)
    for folder in (room.parent, room):
        (folder / "__init__.py").touch()
    shutil.copyfile(HERE / "exercise_1a.py", room / "exercise_1a.py")
    shutil.copyfile(HERE / "registry.toml", root / "labs_lib" / "registry.toml")
    config = (REPOSITORY / "nbgrader_config.py").read_text(encoding="utf-8")
    (root / "nbgrader_config.py").write_text(config + settings, encoding="utf-8")
    source = paths.source_file(root, NAME)
    source.parent.mkdir(parents=True)
    shutil.copyfile(HERE / "notebook.py", source)
    build.write_solution(root, paths.chosen(root, NAME)[0])
    build.generate(root, NAME)
