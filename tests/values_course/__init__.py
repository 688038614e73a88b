"""A course of one small module whose answers are values, definitions, files and a state: its box starts no Spark, so a submission takes seconds.

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
FULL = {
    **{"1a.1": 2, "1a.2": 2, "1a.3": 3, "1a.4": 2, "1a.5": 2},
    **{"1b.1": 2, "1b.2": 2, "1b.3": 2, "1b.4": 2, "1b.5": 3},
}


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
    for exercise in ("exercise_1a.py", "exercise_1b.py"):
        shutil.copyfile(HERE / exercise, room / exercise)
    shutil.copytree(HERE / "schemas", room.parent / "schemas")
    shutil.copyfile(HERE / "registry.toml", root / "labs_lib" / "registry.toml")
    config = (REPOSITORY / "nbgrader_config.py").read_text(encoding="utf-8")
    (root / "nbgrader_config.py").write_text(config + settings, encoding="utf-8")
    source = paths.source_file(root, NAME)
    source.parent.mkdir(parents=True)
    shutil.copyfile(HERE / "notebook.py", source)
    build.write_solution(root, paths.chosen(root, NAME)[0])
    build.generate(root, NAME)
