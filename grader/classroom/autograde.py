"""The grader's place in nbgrader's autograde: what it reads, and two preprocessors, which nbgrader_config.py puts in their places."""

from __future__ import annotations

import fnmatch
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.api import Gradebook
from nbgrader.converters import Autograde, NbGraderException
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade, temp_attrs
from sqlalchemy.exc import SAWarning
from traitlets import Float, Integer, Unicode

from grader.course import paths
from grader.course.notebook import read
from labs_lib.checking import cards
from labs_lib.checking.verdict import Verdict
from labs_lib.errors import LabsError

if TYPE_CHECKING:
    from grader.judging.submission import Patience


class AutogradeAccepted(Autograde):
    """nbgrader's autograde on clean copies of what was handed in, made as `grader grade` makes them.

    So one command finds, names and mends what the other does. What can't be graded is named, and the others go on.
    """

    def start(self) -> None:
        """Autograde those whom the command names. Raises NbGraderException at the end if one could not be."""
        # Here, because nbgrader reads this module for every command, and these bring Spark's client along.
        from grader.classroom import collect

        root, given = Path(self.coursedir.root), self.coursedir.student_id
        copies = str(collect.accepted(root, self.coursedir.assignment_id).relative_to(root))
        if self.coursedir.submitted_directory == copies:  # `grader grade`, which has made the copy
            self._autograde()
            return
        try:
            module = paths.chosen(root, self.coursedir.assignment_id)[0]
            meant = [
                student.folder
                for student in collect.class_of(root)
                if given == student.folder or fnmatch.fnmatchcase(student.id, given)
            ]
            accepted, refused = collect.collect(root, module, [] if given == "*" else meant or [given])
        except LabsError as error:
            self.log.error("%s", error)
            raise NbGraderException(str(error)) from None
        for result in refused:
            self.log.error("%s can't be graded: %s", result.called, result.refused)
        failed = [result.called for result in refused]
        for submission in accepted:
            with Gradebook(self.coursedir.db_url, self.coursedir.course_id) as gradebook:
                collect.accept(root, module, submission, gradebook)
            for sentence in submission.oddities:
                self.log.warning("%s: %s", submission.student, sentence)
            with temp_attrs(self.coursedir, submitted_directory=copies, student_id=submission.student):
                try:
                    self._autograde()
                except NbGraderException:
                    failed.append(submission.student)
        if failed:
            raise NbGraderException(f"Not graded, see above: {', '.join(failed)}.")

    def _autograde(self) -> None:
        """nbgrader's own way, without what its use of the database makes SQLAlchemy say."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=SAWarning, module=r"nbgrader\.")
            super().start()


class RestoreMetadata(NbGraderPreprocessor):
    """First in autograde's sanitizing: what a cell says it is comes from the gradebook, not from the submission.

    nbgrader stops at a cell that claims to be another kind, and with it the whole submission. Here a cell whose id the
    assignment does not know, or that comes twice, is an ordinary cell; it can't be a check cell or bring points.
    """

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Give each known cell the assignment's own metadata and strip it from all others."""
        names = resources["nbgrader"]
        with Gradebook(names["db_url"]) as gradebook:
            notebook = gradebook.find_notebook(names["notebook"], names["assignment"])
            points = {cell.name: cell.max_score for cell in notebook.grade_cells}
            solutions = {cell.name for cell in notebook.solution_cells}
            known = {
                cell.name: {
                    **{"schema_version": 3, "grade_id": cell.name, "task": False, "locked": cell.locked},
                    **{"grade": cell.name in points, "solution": cell.name in solutions},
                    **({"points": points[cell.name]} if cell.name in points else {}),
                }
                for cell in notebook.source_cells
            }
        # Of cells with the same id the last one counts, as in nbgrader's own DeduplicateIds.
        for cell in reversed(nb.cells):
            grading = cell.metadata.pop("nbgrader", None)
            name = grading.get("grade_id") if isinstance(grading, dict) else None
            if isinstance(name, str) and name in known:
                cell.metadata["nbgrader"] = NotebookNode(known.pop(name))
        return nb, resources


class JudgeSubmission(NbGraderPreprocessor):
    """In place of nbgrader's Execute: the notebook runs in a sandbox and is judged in another one."""

    root = Unicode(help="The course's folder.").tag(config=True)
    cell_timeout = Integer(300, help="Seconds for one cell.").tag(config=True)
    wall = Float(1800.0, help="Seconds for one notebook.").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Put each step's verdict into its check cell, and what else the cells printed, as text and pictures.

        Raises LabsError if nothing can be graded here; a submission's own faults give verdicts.
        """
        # Here, because nbgrader reads this module for every command, and these bring Spark's client along.
        from grader.judging.grading import grade
        from grader.judging.judge import kept_judges
        from grader.vetting.outputs import make_plain

        root = Path(self.root) if self.root else paths.find_root()
        module = paths.chosen(root, resources["nbgrader"]["assignment"])[0]
        graded = grade(root, module, nb, kept_judges(), self.patience())
        for note in graded.notes:
            self.log.warning("%s: %s", resources["nbgrader"].get("student", "submission"), note)
        verdicts = {f"check-{verdict.step.replace('.', '-')}": verdict for verdict in graded.verdicts}
        solution = read(paths.solution_file(root, module.name))
        given = {cell.source for cell in solution.cells if cell.cell_type == "markdown"}
        nb.metadata = solution.metadata  # a submission's own may hold widgets, which pages load
        for cell, outputs in zip(nb.cells, graded.outputs, strict=True):
            make_plain(cell, given)
            if cell.cell_type != "code":
                continue
            if is_grade(cell):
                cell.outputs = [_result(verdicts.get(cell.metadata.nbgrader["grade_id"]))]
            else:
                cell.outputs = list(outputs)
        self._without_cell(nb, resources)
        return nb, resources

    def patience(self) -> Patience:
        """How long a submission may take, by this preprocessor's settings."""
        from grader.judging.submission import Patience

        return Patience(cell=self.cell_timeout, notebook=self.wall)

    def _without_cell(self, nb: NotebookNode, resources: dict[str, Any]) -> None:
        """No points for check cells that are not there, whatever an earlier submission earned."""
        names = resources["nbgrader"]
        there = {cell.metadata.nbgrader["grade_id"] for cell in nb.cells if is_grade(cell)}
        with Gradebook(names["db_url"]) as gradebook:
            stored = gradebook.find_submission_notebook(
                names["notebook"], names["assignment"], names["student"]
            )
            for each in stored.grades:
                if each.name not in there:
                    each.auto_score, each.needs_manual_grade = 0, False
            gradebook.db.commit()


def _result(verdict: Verdict | None) -> NotebookNode:
    if verdict is None:
        said = "This cell belongs to no step of the module, so there are no points."
        return new_output("error", ename="NoVerdict", evalue=said, traceback=[said])
    return new_output("execute_result", data=cards.mimebundle(verdict))
