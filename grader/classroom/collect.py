"""A class as it was handed in: who there is, what of it can be graded, and the clean copies that nbgrader reads.

nbgrader never reads what a learner handed in, but a copy of it in build/grading/<module>/accepted.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook

from grader.classroom import handed_in, intake
from grader.classroom.class_report import Result
from grader.classroom.students import Student, student_of
from grader.course import paths
from grader.course.notebook import read
from grader.judging.reference import folder
from grader.vetting import removal
from labs_lib.errors import LabsError
from labs_lib.registry import Module
from labs_lib.vetting.text import Rejected, shown


@dataclass(frozen=True)
class Submission:
    """A learner's notebook that can be graded, when it was handed in, and sentences on what is odd about it."""

    student: str
    notebook: NotebookNode
    oddities: tuple[str, ...]
    name: str = ""
    names: tuple[str, str] = ("", "")  # first and last, for the gradebook
    timestamp: str = ""


def collect(root: Path, module: Module, students: Sequence[str]) -> tuple[list[Submission], list[Result]]:
    """What lies in submitted/: what can be graded, and a result with a sentence for what can't, straight in it too.

    With `students`, names of folders or ids, only theirs. Raises LabsError if there is no submission at all.
    """
    place = root / "submitted"
    released = read(paths.learner_file(root, module.name))
    modules = [each.name for each in paths.registry_of(root).modules]
    entries = sorted(place.iterdir()) if place.is_dir() else []
    entries = [entry for entry in entries if not handed_in.is_leaving(entry.name)]
    class_ = [student_of(entry.name) for entry in entries if entry.is_dir()]
    ids = Counter(student.id for student in class_)
    accepted, refused = [], []
    for entry in entries if not students else []:
        if not entry.is_dir():
            sentence = "It lies straight in submitted/: put it into a folder with the learner's name there."
            refused.append(Result(student_of(entry.name).id, refused=sentence, name=shown(entry.name)))
    wanted = [student for student in class_ if not students or {student.id, student.folder} & set(students)]
    absent = set(students) - {word for student in wanted for word in (student.id, student.folder)}
    for student in wanted:
        try:
            if handed_in.is_called(student.folder, modules):
                raise Rejected("It is called like a module: wanted is submitted/<student>/<module>.")
            if ids[student.id] > 1:
                raise Rejected(f"Another folder has the id {student.id} too: rename one of them.")
            reads = functools.partial(intake.examine_content, where="It", released=released)
            found = handed_in.notebook_of(place, student.folder, module.name, modules, reads)
            if found is None:
                absent |= {student.folder} if students else set()
                continue
            nb, odd = intake.examine_content(found.data, found.where, released)
            oddities = (*_renamed(student), *found.notes, *odd)
            accepted.append(
                Submission(student.id, nb, oddities, student.name, student.first_and_last, found.timestamp)
            )
        except Rejected as refusal:
            refused.append(Result(student.id, refused=str(refusal), name=student.name))
        except (
            Exception
        ) as error:  # a closed folder, and what nobody thought of: one learner's trouble is not the class's
            said = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
            refused.append(
                Result(student.id, refused=shown(f"It can't be read: {said}.", 320), name=student.name)
            )
    if absent:
        raise LabsError(f"There is no submission of {module.name} by {', '.join(sorted(absent))} in {place}.")
    if not accepted and not refused:
        raise LabsError(
            f"There is nothing to grade: {place} holds no <student>/{module.name}/{module.name}.ipynb."
        )
    return accepted, refused


def class_of(root: Path) -> list[Student]:
    """Everybody who has a folder in submitted/."""
    place = root / "submitted"
    folders = sorted(entry.name for entry in place.iterdir() if entry.is_dir()) if place.is_dir() else []
    return [student_of(name) for name in folders if not handed_in.is_leaving(name)]


def accepted(root: Path, module: str) -> Path:
    """The folder of a module's clean copies, which is nbgrader's submitted_directory in grading."""
    return folder(root, module) / "accepted"


def accept(root: Path, module: Module, submission: Submission, gradebook: Gradebook) -> None:
    """Lay a clean copy for nbgrader, with the time of handing in, and give the gradebook a name that it lacks."""
    place = accepted(root, module.name) / submission.student / module.name
    removal.remove_or_say(place)
    place.mkdir(parents=True)
    nbformat.write(submission.notebook, place / f"{module.name}.ipynb")
    if submission.timestamp:
        (place / handed_in.TIMESTAMP).write_text(submission.timestamp)
    student = gradebook.update_or_create_student(submission.student)
    if not student.first_name and not student.last_name and any(submission.names):
        student.first_name, student.last_name = submission.names
    gradebook.db.commit()


def _renamed(student: Student) -> tuple[str, ...]:
    return (
        (f"Has the id {student.id} in the gradebook, as nbgrader can't take the folder's name.",)
        if student.name
        else ()
    )
