"""Spark's watermark rule as a pure function: what a windowed aggregation in append mode counts, drops and keeps.

The rule (Structured Streaming guide, "Handling late data and watermarking"): the watermark is the largest event time of all earlier
micro-batches minus the delay, and never goes back. A group whose window ended at or before it is not touched any more: it is
written to the sink and leaves the state, and rows that come for it later are dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from labs_lib.arguments import checked
from labs_lib.errors import LabsError

EPOCH = pd.Timestamp(0, tz="UTC")


@dataclass(frozen=True)
class Expected:
    """One micro-batch as the query's progress should report it. `dropped` counts groups, `dropped_lines` their input rows."""

    input_rows: int
    watermark: pd.Timestamp
    state_rows: int
    closed: int
    dropped: int
    dropped_lines: int


@dataclass(frozen=True)
class Replay:
    """What the rule makes of some runs. Frames have the window's start, the keys, `lines` and `sales`."""

    batches: tuple[Expected, ...]
    emitted: pd.DataFrame
    state: pd.DataFrame

    @property
    def dropped(self) -> int:
        """Groups dropped, as the progress counts them: once for each micro-batch in which they came too late."""
        return sum(batch.dropped for batch in self.batches)

    @property
    def dropped_lines(self) -> int:
        """Input rows of those groups."""
        return sum(batch.dropped_lines for batch in self.batches)

    @property
    def most_state(self) -> int:
        """The most rows in the state at the end of a micro-batch."""
        return max((batch.state_rows for batch in self.batches), default=0)

    @property
    def open_groups(self) -> int:
        """Rows in the state after the last run: groups that are not written yet."""
        return len(self.state)


@checked
def replay(
    runs: Sequence[pd.DataFrame],
    delay: pd.Timedelta,
    window: pd.Timedelta = pd.Timedelta(hours=1),  # noqa: B008 - immutable
    keys: Sequence[str] = ("store_id",),
) -> Replay:
    """What a stream makes of `runs`: one availableNow run for each frame, which takes it as one micro-batch.

    Frames have `event_time` (UTC), the keys and `sales_value`; windows are tumbling. After its data a run has a micro-batch without
    data if the watermark has moved: that one writes the windows that are closed now. Raises LabsError if a frame lacks a column.
    """
    for lines in runs:
        lacking = [name for name in ("event_time", *keys, "sales_value") if name not in lines.columns]
        if lacking:
            raise LabsError(
                f"A frame of the runs has no column {lacking[0]!r}; it has {', '.join(map(str, lines.columns))}."
            )
    by = ["window_start", *keys]
    state = pd.DataFrame(columns=[*by, "lines", "sales"])
    emitted: list[pd.DataFrame] = []
    batches: list[Expected] = []
    watermark = EPOCH
    for lines in runs:
        groups = _groups(lines, window, by)
        late = groups.window_start + window <= watermark
        kept = groups[~late]
        state = pd.concat([state, kept]) if len(state) else kept
        state = state.groupby(by, as_index=False)[["lines", "sales"]].sum()
        batches.append(
            Expected(len(lines), watermark, len(state), 0, int(late.sum()), int(groups.lines[late].sum()))
        )
        seen = lines.event_time.max() - delay if len(lines) else watermark
        if seen > watermark:
            watermark = seen
            done = state.window_start + window <= watermark
            emitted.append(state[done])
            state = state[~done]
            batches.append(Expected(0, watermark, len(state), int(done.sum()), 0, 0))
    written = pd.concat(emitted, ignore_index=True) if emitted else state.iloc[:0]
    return Replay(tuple(batches), written, state.reset_index(drop=True))


def _groups(lines: pd.DataFrame, window: pd.Timedelta, by: list[str]) -> pd.DataFrame:
    started = lines.assign(window_start=lines.event_time.dt.floor(window))
    return started.groupby(by, as_index=False).agg(
        lines=("sales_value", "size"), sales=("sales_value", "sum")
    )
