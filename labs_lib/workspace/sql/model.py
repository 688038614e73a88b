"""A statement and its answer: what stands between the API and the door. The door itself is imported with the first statement."""

from __future__ import annotations

from dataclasses import dataclass, field

from labs_lib.errors import LabsError
from labs_lib.workspace.ground.context import Caller, Request

MAX_TEXT = 200_000  # characters of a statement


@dataclass(frozen=True)
class Parameter:
    """A value for a marker in the statement."""

    name: str
    value: str | None
    type: str


@dataclass(frozen=True)
class Statement:
    """What is asked for, by whom."""

    id: str
    text: str
    caller: Caller
    catalog: str
    schema: str
    parameters: tuple[Parameter, ...] = ()
    limit: int = 100_000
    request: Request = field(default_factory=Request)


@dataclass(frozen=True)
class Answer:
    """Columns as name and type text, rows of strings, and whether there were more."""

    columns: tuple[tuple[str, str], ...] = ()
    rows: list[list[str | None]] = field(default_factory=list)
    truncated: bool = False
    kind: str = "OTHER"
    reads: frozenset[str] = frozenset()
    writes: str | None = None


class Failed(LabsError):
    """What Spark said to a statement: `error_class` and its sentence. `running`: it was running already, so the sentence may hold values."""

    def __init__(self, sentence: str, error_class: str = "", running: bool = False) -> None:
        super().__init__(sentence)
        self.error_class = error_class
        self.running = running
