"""The course's two steps in nbgrader's chains; nbgrader_config.py puts them in place."""

from __future__ import annotations

from typing import Any

from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade

from grader.course.build import KERNELSPEC
from grader.course.notebook import verdict_in

KEPT_CELL_METADATA = ("nbgrader", "tags")


class CleanMetadata(NbGraderPreprocessor):
    """First in generate_assignment: the same learner notebook whichever tool last saved the solution."""

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Keep the kernel, tags and nbgrader's metadata; drop pairing, versions, timings and the like."""
        nb.metadata = NotebookNode(kernelspec=NotebookNode(KERNELSPEC))
        for cell in nb.cells:
            kept = {key: cell.metadata[key] for key in KEPT_CELL_METADATA if key in cell.metadata}
            cell.metadata = NotebookNode(kept)
        return nb, resources


class GradeByVerdict(NbGraderPreprocessor):
    """Right after autograde's execution: points come from a check's verdict and from nothing else.

    nbgrader gives 0 to a grade cell with anything on stderr (Spark and gRPC warn there) and full points to
    one without a result (nbgrader/utils.py, determine_grade). Where there is a verdict, stderr is kept as
    stdout; where there is none, the cell gets an error.
    """

    def preprocess_cell(
        self, cell: NotebookNode, resources: dict[str, Any], cell_index: int
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Apply both rules to a grade cell."""
        if cell.cell_type != "code" or not is_grade(cell):
            return cell, resources
        verdict = verdict_in(cell.outputs)
        if verdict is not None and 0 <= verdict.points <= cell.metadata.nbgrader["points"]:
            for output in cell.outputs:
                if output.output_type == "stream":
                    output.name = "stdout"
        else:
            said = "the check cell gave no verdict, so there are no points"
            error = {"output_type": "error", "ename": "NoVerdict", "evalue": said, "traceback": [said]}
            cell.outputs.insert(0, NotebookNode(error))
        return cell, resources
