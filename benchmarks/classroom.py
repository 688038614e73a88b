"""Courses to grade a class of: module 1 as it is, or exercise 1a alone; and submissions that differ in their text only."""

from __future__ import annotations

import copy
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from benchmarks.ground import ROOT
from grader.course import build, paths
from grader.course.notebook import read

NAME = "01_optimization"
# What stands before the lessons, what begins exercise 1a, and what comes after it, by their headings.
LESSON, EXERCISE, AFTER = "Lesson 1:", "Exercise 1a:", "Lesson 7:"


def small_course(root: Path, settings: str = "") -> None:
    """Make a course of exercise 1a without its lessons in `root`, released; `settings` goes into its nbgrader_config.py."""
    registry = (ROOT / "labs_lib" / "registry.toml").read_text(encoding="utf-8")
    source = paths.source_file(ROOT, NAME).read_text(encoding="utf-8")
    lesson, exercise, after = (
        source.index(f"# %% [markdown]\n# ## {title}") for title in (LESSON, EXERCISE, AFTER)
    )
    _lay(root, registry[: registry.index('[[modules.exercises]]\nid = "1b"')], settings)
    path = paths.source_file(root, NAME)
    path.parent.mkdir(parents=True)
    path.write_text(source[:lesson] + source[exercise:after], encoding="utf-8")
    build.write_solution(root, paths.chosen(root, NAME)[0])
    build.generate(root, NAME)


def module_1(root: Path) -> None:
    """Make a course of module 1 in `root`, released."""
    _lay(root, (ROOT / "labs_lib" / "registry.toml").read_text(encoding="utf-8"), "")
    path = paths.solution_file(root, NAME)
    path.parent.mkdir(parents=True)
    nbformat.write(read(paths.solution_file(ROOT, NAME)), path)
    build.generate(root, NAME)


def submit_solutions(root: Path, first: int, count: int) -> None:
    """Hand in the solution for students numbered from `first`, each with another note, as results are kept by content."""
    solution = read(paths.solution_file(root, NAME))
    for number in range(first, first + count):
        submit(root, f"student-{number:03d}", with_note(solution, f"Handed in by number {number}."))


def submit(root: Path, student: str, notebook: NotebookNode) -> None:
    """Hand in a notebook for a student."""
    path = root / "submitted" / student / NAME / f"{NAME}.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(notebook, path)


def with_note(notebook: NotebookNode, text: str) -> NotebookNode:
    """A copy of a notebook with a Markdown cell more."""
    noted = copy.deepcopy(notebook)
    noted.cells.append(new_markdown_cell(text))
    return noted


def _lay(root: Path, registry: str, settings: str) -> None:
    (root / "labs_lib").mkdir(parents=True)
    (root / "labs_lib" / "registry.toml").write_text(registry, encoding="utf-8")
    config = (ROOT / "nbgrader_config.py").read_text(encoding="utf-8")
    (root / "nbgrader_config.py").write_text(config + settings, encoding="utf-8")
