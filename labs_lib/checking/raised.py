"""What an answer's cell raised when it was run last, in a sentence for the card."""

from __future__ import annotations

import re
from collections.abc import Sequence

from labs_lib.engine.runs import Run
from labs_lib.registry import Answer, Step
from labs_lib.vetting.text import shown

LENGTH = 260  # characters of an error that are shown


def sentence(step: Step, runs: Sequence[Run]) -> str:
    """The error of the cell that a step's answers were to come from, the cell that runs now being the last of `runs`; empty if none.

    That is the cell run last of those that make one of the answers, else the one that ran just before.
    """
    own = [answer for answer in step.answers if not answer.given]
    answering = [run for run in runs if any(_makes(run.source, answer) for answer in own)]
    which, run = ("The answer cell", answering[-1]) if answering else ("The cell before this one", None)
    if run is None and len(runs) > 1:
        run = runs[-2]
    if run is None or not run.raised:
        return ""
    where = f", line {run.line}" if run.line else ""
    return f"{which} ended with an error{where}: {shown(run.raised.replace('`', chr(39)), LENGTH)}"


def _makes(source: str, answer: Answer) -> bool:
    """Whether a cell gives an answer's name something, as far as text that need not be Python can tell."""
    name = re.escape(answer.name)
    if answer.kind == "table":
        return re.search(rf"\b{name}\b", source, re.IGNORECASE) is not None
    return re.search(rf"\b(?:def|class)\s+{name}\b|(?<![\w.]){name}\b[^=\n()]*=(?!=)", source) is not None
