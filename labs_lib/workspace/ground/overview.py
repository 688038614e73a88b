"""What a service shows of itself on the workspace's page: tables of plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Table:
    """A table of the page. Values are shown as text, whatever they hold."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


def moment(ms: int | None) -> str:
    """A time of the workspace's, in ms since 1970, for people; nothing for none."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S") if ms else ""
