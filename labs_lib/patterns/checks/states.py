"""Tables that grow by batches, judged by what they held on their way: a commit can say of itself what it likes, its rows can't."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import pyarrow as pa

from labs_lib.checking.evidence import Unusable
from labs_lib.measuring.table_history import State

Fits = Callable[[pa.Table], bool]  # may raise KeyError or ValueError for a column that is not there


def departure(states: Iterable[State], batches: Sequence[Fits]) -> str:
    """How a table's states depart from what it should hold after each batch, in words; empty if it held all of that, in that order.

    Raises Unusable if nobody can see any more what it held.
    """
    remaining = iter(list(states))
    for number, fits in enumerate(batches, 1):
        for state in remaining:
            if _fits(state, fits):
                break
        else:
            return f"at no version it held what it should after batch {number} of {len(batches)}"
    return ""


def stray(states: Iterable[State], fits: Fits) -> str:
    """The first of a table's states that does not fit, in words; empty if all do. Raises Unusable as `departure` does."""
    for state in states:
        if not _fits(state, fits):
            return f"at version {state.version} ({state.operation}) it held a part of a batch, or other rows"
    return ""


def _fits(state: State, fits: Fits) -> bool:
    if state.rows is None:
        raise Unusable(
            f"Files of version {state.version} of a table of this step are gone, so nobody can see what it held then. "
            "Run the step again from where its tables are laid, and leave VACUUM out."
        )
    try:
        return fits(state.rows)
    except (KeyError, ValueError):
        return False
