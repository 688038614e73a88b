"""What the nbval replay compares, as a pytest plugin: `pytest --nbval -p grader.rehearsal.nbval_plugin ...`.

nbval sorts a cell's outputs into lists by kind and compares each list, after applying nbval_sanitize.cfg:

compared   stdout and stderr, text/plain, text/html, text/markdown, image/svg+xml, an exception's name and
           message, and any other kind not named here
compared   the verdict of a check cell, without the seconds it took
skipped    image/png, image/jpeg: a plot is compared by its text/plain, the summary of what was plotted
skipped    execution counts, metadata, tracebacks
skipped    the rows that a DataFrame shows as a cell's last line: a cell that wants its rows compared prints them

It also prints a line of JSON per cell for grader.rehearsal.replay to read.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from nbval.plugin import IPyNbCell

from grader.course.build import WORKSPACE_ALIAS
from labs_lib.engine import first_rows

EVENT = "@@cell "
SKIPPED = (
    "output_type",
    "name",
    "metadata",
    "traceback",
    "prompt_number",
    "execution_count",
    "image/png",
    "image/jpeg",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the rules above in place of nbval's own for each notebook cell."""
    for item in items:
        if isinstance(item, IPyNbCell):
            item.parent.skip_compare = SKIPPED
            item.sanitize = functools.partial(comparable, item.sanitize)


def comparable(sanitize: Callable[[Any], Any], value: Any) -> Any:
    """Return an output's value as it is compared: a verdict without seconds, a path without workspace, no shown DataFrame."""
    if isinstance(value, dict):
        value = json.dumps({key: value[key] for key in value if key != "seconds"}, sort_keys=True)
    if isinstance(value, str) and value.startswith(first_rows.MARK):
        return ""
    if isinstance(value, str) and (workspace := os.environ.get("LABS_WORKSPACE")):
        value = value.replace(workspace, WORKSPACE_ALIAS)
    return sanitize(value)


def pytest_runtest_logstart(nodeid: str) -> None:
    """Say that a cell has begun."""
    _say({"cell": _number(nodeid)})


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Say how a cell went."""
    if report.when == "call" or not report.passed:
        ok = report.when == "call" and report.passed
        event = {"cell": _number(report.nodeid), "ok": ok, "seconds": report.duration}
        _say({**event, "detail": "" if ok else report.longreprtext})


def _number(nodeid: str) -> int:
    return int(nodeid.rsplit(" ", 1)[1])


def _say(event: dict[str, Any]) -> None:
    print(f"\n{EVENT}{json.dumps(event)}", flush=True)
