"""Grades a whole class: submissions side by side, then into nbgrader's gradebook, then a report.

Workers only make results, each kept as soon as it is there (grader.judging.grading): a batch that was killed goes on where it
was. This process alone writes to the gradebook, through nbgrader's own autograde, which finds the results kept.
nbgrader never reads what a learner handed in, but a clean copy of it in build/grading/<module>/accepted.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import joblib
import nbformat
import psutil
from joblib.externals.loky import get_reusable_executor
from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from grader.classroom import intake
from grader.classroom.autograde import JudgeSubmission
from grader.classroom.class_report import Result
from grader.course import build, paths
from grader.course.notebook import read
from grader.judging import grading, judge
from grader.judging.judge import Judges
from grader.judging.reference import folder, reference, seed_of
from grader.judging.submission import Patience
from grader.sandbox.runner import Limits
from grader.sandbox.workbox import sandbox_is_wanted
from grader.vetting import Rejected
from grader.vetting.files import shown
from grader.vetting.removal import remove_or_say
from labs_lib.errors import LabsError
from labs_lib.registry import Module

STUDENT = re.compile(r"[\w.@+-]{1,100}")  # nbgrader looks for submissions by glob and regular expression
TIMESTAMP = "timestamp.txt"


@dataclass(frozen=True)
class Submission:
    """A learner's notebook that can be graded, and sentences on what is odd about it."""

    student: str
    notebook: NotebookNode
    oddities: tuple[str, ...]


def jobs_that_fit() -> int:
    """How many submissions this machine grades side by side: one per core, as far as memory holds their limits."""
    memory = psutil.virtual_memory().total // (Limits().memory + judge.MEMORY)
    return max(1, min(os.cpu_count() or 1, memory))


def collect(root: Path, module: Module, students: Sequence[str]) -> tuple[list[Submission], list[Result]]:
    """What lies in submitted/<student>/<module>: what can be graded, and a result with a sentence for what can't.

    With `students` only theirs. Raises LabsError if there is no submission at all.
    """
    handed_in = root / "submitted"
    released = read(paths.learner_file(root, module.name))
    found = (
        sorted(path.parent.name for path in handed_in.glob(f"*/{module.name}")) if handed_in.is_dir() else []
    )
    if absent := sorted(set(students) - set(found)):
        raise LabsError(f"There is no submission of {module.name} by {', '.join(absent)} in {handed_in}.")
    if not found:
        raise LabsError(
            f"There is nothing to grade: {handed_in} holds no <student>/{module.name}/{module.name}.ipynb."
        )
    accepted, refused = [], []
    for student in students or found:
        try:
            if not STUDENT.fullmatch(student):
                raise Rejected(
                    "The folder's name is no student id that nbgrader can find: letters, digits and . _ @ + - are "
                    "possible. Rename it."
                )
            path = handed_in / student / module.name / f"{module.name}.ipynb"
            nb, mended = intake.examine(path, released, handed_in)
            accepted.append(Submission(student, nb, mended))
        except Rejected as refusal:
            refused.append(Result(student, refused=str(refusal)))
    return accepted, refused


def patience_of(root: Path) -> Patience:
    """How long a submission may take, by the course's nbgrader_config.py."""
    return JudgeSubmission(config=course_config(root)).patience()


def make_ready(root: Path, module: Module, patience: Patience) -> None:
    """Make what all submissions need, once. Raises LabsError if nothing can be graded: no sandbox, a wrong solution."""
    with Judges() as judges:
        reference(root, module, seed_of(root, module.name), sandbox_is_wanted(), judges, patience)


@contextlib.contextmanager
def engine(dask: str | None, jobs: int) -> Iterator[None]:
    """Where `grade_class` works in this block: so many processes here, or the workers of a dask scheduler.

    Raises LabsError if dask is wanted and is not installed or does not answer.
    """
    if dask is None:
        try:
            with joblib.parallel_config(backend="loky", n_jobs=jobs):
                yield
        finally:
            get_reusable_executor().shutdown()  # the workers end their judges
        return
    try:
        from distributed import Client

        client = Client(dask, timeout="20s")
    except (ImportError, OSError, TimeoutError, ValueError) as error:
        raise LabsError(
            f"No dask scheduler at {dask} ({error}). `pip install distributed`, `dask scheduler`."
        ) from None
    with client, joblib.parallel_config(backend="dask"):
        yield


def grade_class(
    root: Path, module: Module, submissions: Sequence[Submission], patience: Patience
) -> Iterator[Result]:
    """Grade submissions side by side and yield each result as it comes, in no order.

    A submission that can't be graded gives a result that says why; nothing that it does ends the batch.
    """
    work = (joblib.delayed(_graded)(root, module.name, submission, patience) for submission in submissions)
    yield from joblib.Parallel(return_as="generator_unordered", batch_size=1)(work)


@functools.cache
def _judges() -> Judges:
    """This worker's judge, kept from task to task."""
    judges = Judges()
    atexit.register(judges.close)
    return judges


def _graded(root: Path, module: str, submission: Submission, patience: Patience) -> Result:
    try:
        graded = grading.grade(root, paths.chosen(root, module)[0], submission.notebook, _judges(), patience)
    except Exception as error:  # one submission's trouble is not the class's
        return Result(submission.student, refused=f"It could not be graded: {type(error).__name__}: {error}")
    notes = (*submission.oddities, *graded.notes)
    return Result(submission.student, graded.verdicts, notes, graded.seconds)


def course_config(root: Path) -> Config:
    """What the course's nbgrader_config.py says."""
    return PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config()


def gradebook(root: Path, module: Module) -> NbGraderAPI:
    """nbgrader's API for the course, whose submissions are the accepted copies; the assignment is made if need be."""
    config = course_config(root)
    config.CourseDirectory.submitted_directory = str(_accepted(root, module).relative_to(root))
    api = NbGraderAPI(CourseDirectory(config=config), config=config)
    with Gradebook(api.coursedir.db_url, api.coursedir.course_id) as book:
        try:
            book.find_notebook(module.name, module.name)
        except MissingEntry:
            build.generate(root, module.name)
    return api


def enter(api: NbGraderAPI, root: Path, module: Module, submission: Submission, result: Result) -> Result:
    """Bring a result into the gradebook and autograded/; with a note if nbgrader would not."""
    place = _accepted(root, module) / submission.student / module.name
    remove_or_say(place)
    place.mkdir(parents=True)
    nbformat.write(submission.notebook, place / f"{module.name}.ipynb")
    stamp = root / "submitted" / submission.student / module.name / TIMESTAMP
    if stamp.is_file() and not stamp.is_symlink() and stamp.stat().st_size < 200:
        shutil.copyfile(stamp, place / TIMESTAMP)
    done: dict[str, Any] = api.autograde(module.name, submission.student, force=True, create=True)
    if done["success"]:
        return result
    lines = str(done.get("error") or done.get("log") or "").strip().splitlines() or ["nothing"]
    note = f"The result is not in the gradebook: nbgrader said {shown(lines[-1], 300)}"
    return replace(result, notes=(*result.notes, note))


def _accepted(root: Path, module: Module) -> Path:
    return folder(root, module.name) / "accepted"
