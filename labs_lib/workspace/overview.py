"""What a service shows of itself on the workspace's page: tables of plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table of the page. Values are shown as text, whatever they hold."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
