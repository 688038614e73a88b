"""Grades a whole class: submissions side by side, then into nbgrader's gradebook, then a report.

Workers only make results, each kept as soon as it is there (grader.judging.grading): a batch that was killed goes on where it
was. This process alone writes to the gradebook, through nbgrader's own autograde, which finds the results kept.
nbgrader never reads what a learner handed in, but a clean copy of it (grader.classroom.collect).
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import psutil
from joblib.externals.loky import get_reusable_executor
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from grader.classroom.autograde import JudgeSubmission
from grader.classroom.class_report import Result
from grader.classroom.collect import Submission, accept, accepted
from grader.course import build, paths
from grader.judging import grading, judge
from grader.judging.judge import Judges, kept_judges
from grader.judging.reference import reference, seed_of
from grader.judging.submission import Patience
from grader.sandbox.runner import Limits
from grader.sandbox.workbox import sandbox_is_wanted
from grader.vetting.files import shown
from labs_lib.errors import LabsError
from labs_lib.registry import Module


def jobs_that_fit() -> int:
    """How many submissions this machine grades side by side: one per core, as far as memory holds their limits."""
    memory = psutil.virtual_memory().total // (Limits().memory + judge.MEMORY)
    return max(1, min(os.cpu_count() or 1, memory))


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
            with joblib.parallel_config(
                backend="loky", n_jobs=jobs, initializer=_end_with, initargs=(os.getpid(),)
            ):
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


def _end_with(batch: int) -> None:
    """End this worker, and with it its sandboxes, when the process of the batch ends, however that ends."""
    process = psutil.Process(batch)

    def wait() -> None:
        process.wait()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _graded(root: Path, module: str, submission: Submission, patience: Patience) -> Result:
    try:
        graded = grading.grade(
            root, paths.chosen(root, module)[0], submission.notebook, kept_judges(), patience
        )
    except Exception as error:  # one submission's trouble is not the class's
        refused = f"It could not be graded: {type(error).__name__}: {error}"
        return Result(submission.student, refused=refused, name=submission.name)
    notes = (*submission.oddities, *graded.notes)
    return Result(submission.student, graded.verdicts, notes, graded.seconds, name=submission.name)


def course_config(root: Path) -> Config:
    """What the course's nbgrader_config.py says."""
    return PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config()


def gradebook(root: Path, module: Module) -> NbGraderAPI:
    """nbgrader's API for the course, whose submissions are the accepted copies; the assignment is made if need be."""
    config = course_config(root)
    config.CourseDirectory.submitted_directory = str(accepted(root, module.name).relative_to(root))
    api = NbGraderAPI(CourseDirectory(config=config), config=config)
    with Gradebook(api.coursedir.db_url, api.coursedir.course_id) as book:
        try:
            book.find_notebook(module.name, module.name)
        except MissingEntry:
            build.generate(root, module.name)
    return api


def enter(api: NbGraderAPI, root: Path, module: Module, submission: Submission, result: Result) -> Result:
    """Bring a result into the gradebook and autograded/; with a note if nbgrader would not."""
    with api.gradebook as book:
        accept(root, module, submission, book)
    done: dict[str, Any] = api.autograde(module.name, submission.student, force=True, create=True)
    if done["success"]:
        return result
    lines = str(done.get("error") or done.get("log") or "").strip().splitlines() or ["nothing"]
    note = f"The result is not in the gradebook: nbgrader said {shown(lines[-1], 300)}"
    return replace(result, notes=(*result.notes, note))
