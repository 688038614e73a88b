"""What a run says beside its evidence: which cell of a step raised what, in which line, and what ended the kernel.

The executed notebook is the learner's own data and may be forged. It gives bounded text here, for people to read, and
no points: a verdict keeps its status whatever stands there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nbformat import NotebookNode

from labs_lib.checking.verdict import Verdict
from labs_lib.vetting.text import shown

NAME, VALUE, LINES = (
    60,
    200,
    60,
)  # characters of an error's name and text, lines of a traceback that are looked at
NO_KEYBOARD = "StdinNotImplementedError"  # what ipykernel raises for input() where nobody can type
_ANSI = re.compile(r"\x1b\[[0-9;]{0,20}m")
_LINE = re.compile(r"Cell In ?\[\d{1,9}\], line (\d{1,7})\b")
_ENDS = re.compile(
    r"^[ \t]*((?:exit|quit|sys\.exit|os\._exit)(?:[ \t]*\([^\n]{0,80}?\))?)[ \t;]*(?:#[^\n]*)?$", re.MULTILINE
)


@dataclass(frozen=True)
class Raised:
    """The error that ended a cell: what, in which line of it (0 where nobody can tell), and whether it was input()."""

    cell: int
    name: str
    text: str
    line: int

    def __str__(self) -> str:
        where = f", line {self.line}" if self.line else ""
        if self.name == NO_KEYBOARD:
            return f"{where}: `input()` waits for somebody at a keyboard, and nobody is there in grading"
        return f"{where}: {self.name}: {self.text}" if self.text else f"{where}: {self.name}"


def explained(verdicts: Sequence[Verdict], nb: NotebookNode, executed: Any) -> list[Verdict]:
    """The verdicts, with what the step's own cells raised or what ended the kernel, for steps that are not solved.

    `nb` is the notebook as it was run, `executed` what the run left of it.
    """
    outputs = _outputs(executed, len(nb.cells))
    ending = _ending(nb, executed)
    told = []
    for verdict in verdicts:
        cells = _cells_of(nb, verdict.step)
        raised = [error for at in cells if (error := _raised(nb.cells[at], at, outputs[at]))]
        answers = [each for each in raised if _name(nb.cells[each.cell]).startswith("answer-")]
        sentence = ""
        if verdict.status != "pass" and (chosen := (answers or raised)[:1]):
            at = chosen[0].cell
            which = {"answer": "The answer cell", "check": "The check cell"}.get(
                _name(nb.cells[at]).split("-")[0], "A cell above the check"
            )
            sentence = f" {which} (cell {at + 1}) ended with an error{chosen[0]}."
        elif verdict.status != "pass" and ending and cells and cells[-1] > ending[0]:
            sentence = f" {ending[1]}"
        told.append(replace(verdict, sentence=verdict.sentence + sentence) if sentence else verdict)
    return told


def remarks(nb: NotebookNode, executed: Any) -> Iterator[str]:
    """Sentences on calls that a run in grading can't answer."""
    if ending := _ending(nb, executed):
        yield ending[1]
    for at, outputs in enumerate(_outputs(executed, len(nb.cells))):
        error = _raised(nb.cells[at], at, outputs)
        if error and error.name == NO_KEYBOARD:
            yield f"Cell {at + 1}{error}."


def _ending(nb: NotebookNode, executed: Any) -> tuple[int, str] | None:
    """The cell that ended the kernel, by a call of exit() or the like where one is found, and a sentence; None if all were run.

    Told by the cells that were not run: the last before them that was calls it, or the first of them is it.
    """
    cells = executed.get("cells") if isinstance(executed, dict) else None
    if not isinstance(cells, list) or len(cells) != len(nb.cells):
        return None
    code = [at for at, cell in enumerate(nb.cells) if cell.cell_type == "code"]
    if not all(isinstance(cell, dict) for cell in cells):
        return None
    run = [at for at in code if cells[at].get("execution_count") is not None]
    # Of lessons some are left out; what a step needs is run if the kernel is there.
    own = [at for at in code if _name(nb.cells[at]) and nb.cells[at].source.strip()]
    if not run or not own or run[-1] >= own[-1]:
        return None
    # One that ends the process at once leaves no trace of its own: it is the first that was not run.
    cut = next((at for at in code if at > run[-1] and cells[at].get("source")), run[-1])
    for at in (cut, *reversed(run)):
        if call := _ENDS.search(nb.cells[at].source):
            line = nb.cells[at].source.count("\n", 0, call.start(1)) + 1
            what = shown(call[1].strip(), NAME)
            return (
                at,
                f"`{what}` in cell {at + 1}, line {line}, ended the kernel; the cells below it were not run.",
            )
    return cut, f"The kernel ended in cell {cut + 1}; the cells below it were not run."


def _cells_of(nb: NotebookNode, step: str) -> list[int]:
    """Numbers of the code cells that belong to a step: from the check above it to its own."""
    check = f"check-{step.replace('.', '-')}"
    names = [_name(cell) for cell in nb.cells]
    if check not in names:
        return []
    end = names.index(check)
    begin = max((at for at in range(end) if names[at].startswith(("check-", "setup-"))), default=-1)
    return [at for at in range(begin + 1, end + 1) if nb.cells[at].cell_type == "code"]


def _name(cell: NotebookNode) -> str:
    return str(cell.metadata.get("nbgrader", {}).get("grade_id", ""))


def _outputs(executed: Any, cells: int) -> list[list[Any]]:
    found = executed.get("cells") if isinstance(executed, dict) else None
    if not isinstance(found, list) or len(found) != cells:
        return [[] for _ in range(cells)]
    outputs = [cell.get("outputs") if isinstance(cell, dict) else None for cell in found]
    return [each if isinstance(each, list) else [] for each in outputs]


def _raised(cell: NotebookNode, at: int, outputs: list[Any]) -> Raised | None:
    """The first error among a cell's outputs, held to text that may be shown and a line that the cell has."""
    for output in outputs:
        if not isinstance(output, dict) or output.get("output_type") != "error":
            continue
        name, text = (
            value if isinstance(value := output.get(key), str) else "" for key in ("ename", "evalue")
        )
        trace = output.get("traceback")
        lines = (
            [line[:2000] for line in trace[:LINES] if isinstance(line, str)]
            if isinstance(trace, list)
            else []
        )
        found = _LINE.search(_ANSI.sub("", "\n".join(lines)))
        line = int(found[1]) if found else 0
        first = shown(next(iter(text[:2000].strip().splitlines()), "").replace("`", "'"), VALUE)
        return Raised(at, shown(name, NAME), first, line if line <= cell.source.count("\n") + 1 else 0)
    return None
