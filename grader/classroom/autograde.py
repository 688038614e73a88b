"""The grader's place in nbgrader's autograde: two preprocessors that nbgrader_config.py puts into its chains."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade
from traitlets import Float, Integer, Unicode

from grader.course import paths
from grader.course.notebook import read
from labs_lib.checking import cards
from labs_lib.checking.verdict import Verdict

if TYPE_CHECKING:
    from grader.judging.submission import Patience


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
        from grader.judging.judge import Judges
        from grader.vetting.outputs import make_plain

        root = Path(self.root) if self.root else paths.find_root()
        module = paths.chosen(root, resources["nbgrader"]["assignment"])[0]
        with Judges() as judges:
            graded = grade(root, module, nb, judges, self.patience())
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
