"""Dynamic value references, `{{job.parameters.day}}`, in the texts of a task's settings.

Source: docs.databricks.com, "What is a dynamic value reference?". An unknown name in a known place refuses the job; other braces are text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from labs_lib.workspace.ground.errors import InvalidParameter

_REFERENCE = re.compile(r"\{\{\s*([\w.\-]+)\s*\}\}")
_KNOWN = re.compile(
    r"job\.(id|run_id|name|parameters\.[\w.\-]+|start_time\.(iso_date|iso_datetime|timestamp_ms)|trigger\.type)"
    r"|task\.(name|run_id|execution_count)"
    r"|tasks\.[\w\-]+\.(values\.[\w\-]+|result_state|run_id)|workspace\.url"
)


def check(value: Any, parameters: frozenset[str]) -> None:
    """Raise InvalidParameter if a text in there refers to a name that no run can have."""

    def look(name: str) -> str:
        if name.startswith(("job.", "task.", "tasks.", "workspace.")) and not _KNOWN.fullmatch(name):
            raise InvalidParameter(f"The reference {{{{{name}}}}} is unknown.")
        if name.startswith("job.parameters.") and name.removeprefix("job.parameters.") not in parameters:
            raise InvalidParameter(f"The reference {{{{{name}}}}} names no parameter of the job.")
        return ""

    _each(value, look)


def resolve(value: Any, names: Mapping[str, str]) -> Any:
    """The same settings with each reference replaced. Raises InvalidParameter if a known reference has no value in this run."""

    def text(name: str) -> str:
        if name in names:
            return names[name]
        if _KNOWN.fullmatch(name):
            raise InvalidParameter(f"The reference {{{{{name}}}}} has no value in this run.")
        return "{{" + name + "}}"

    return _each(value, text)


def _each(value: Any, text: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: text(match[1]), value)
    if isinstance(value, Mapping):
        return {key: _each(part, text) for key, part in value.items()}
    if isinstance(value, list):
        return [_each(part, text) for part in value]
    return value
