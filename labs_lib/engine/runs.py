"""Which cells a notebook ran last, and what they raised: a check tells it, as an error that scrolled away is easily missed."""

from __future__ import annotations

import sys
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from labs_lib.errors import first_line

KEPT = 100  # runs that are remembered


@dataclass
class Run:
    """One run of a cell: its source, and what it raised ("" if nothing), with the line (0 where nobody can tell)."""

    source: str
    raised: str = ""
    line: int = 0


_runs: deque[Run] = deque(maxlen=KEPT)


def latest() -> list[Run]:
    """The runs so far, the cell that runs now last; empty outside of IPython."""
    return list(_runs)


def watch() -> None:
    """Remember from now on what cells raise; where there is no IPython, nothing."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is not None and _begin not in shell.events.callbacks["pre_run_cell"]:
        shell.events.register("pre_run_cell", _begin)
        shell.events.register("post_run_cell", _end)


def _begin(info: Any) -> None:
    _runs.append(Run(str(info.raw_cell)))


def _end(result: Any) -> None:
    error = result.error_before_exec or result.error_in_exec
    if isinstance(error, BaseException) and _runs:
        # Text only: an error itself holds everything that its cell did.
        name = type(error).__name__
        said = first_line(error)
        _runs[-1].raised = name if said == name else f"{name}: {said}"
        _runs[-1].line = _line(error, error.__traceback__)


def _line(error: BaseException, trace: TracebackType | None) -> int:
    """The line of the cell that was under way when the error came; of a function of another cell, the line that calls it."""
    if isinstance(error, SyntaxError):
        return error.lineno or 0
    main = vars(sys.modules["__main__"])
    while trace is not None:
        if trace.tb_frame.f_globals is main:
            return trace.tb_lineno
        trace = trace.tb_next
    return 0
