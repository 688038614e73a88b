"""Values as parts of SQL statements."""

from __future__ import annotations

from pathlib import Path


def literal(value: str | Path) -> str:
    """A text or a path as a string literal of Spark SQL: in quotes, whatever characters it holds."""
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"
