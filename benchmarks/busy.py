"""When Spark was busy, from the REST interface, and where a notebook's remaining time goes."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

Interval = tuple[float, float]  # seconds since 1970, start and end
ALL = 1_000_000  # more executions than a run makes: the interface gives twenty unless told
TIMEOUT = 60  # seconds


def of_server(ui: str) -> tuple[list[Interval], list[Interval]]:
    """Intervals of all jobs, and of all SQL executions, that a server has run."""
    base = f"{ui}/api/v1/applications"
    base = f"{base}/{_get(base)[0]['id']}"
    jobs = [(when(job["submissionTime"]), when(job["completionTime"])) for job in _get(f"{base}/jobs")]
    executions = [
        (start := when(each["submissionTime"]), start + each["duration"] / 1000)
        for each in _get(f"{base}/sql?details=false&planDescription=false&length={ALL}")
    ]
    return jobs, executions


def when(text: str) -> float:
    """A time as Spark's REST interface writes it, `2025-11-24T21:38:37.123GMT`, in seconds since 1970."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fGMT").replace(tzinfo=UTC).timestamp()


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """The same moments as intervals that do not overlap, in order."""
    merged: list[Interval] = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def length(merged: Iterable[Interval]) -> float:
    """Seconds that intervals of a union cover."""
    return sum(end - start for start, end in merged)


def within(merged: Sequence[Interval], window: Interval) -> float:
    """Seconds of a union that lie inside a window."""
    low, high = window
    return sum(max(0.0, min(end, high) - max(start, low)) for start, end in merged)


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
        return json.load(response)
