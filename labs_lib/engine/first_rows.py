"""A DataFrame as a cell's last line, or in `display`, shows its first rows, as on Databricks.

Spark's own setting for this (`spark.sql.repl.eagerEval.enabled`) would run a query for every `repr`, in a log line or an f-string too.
"""

from __future__ import annotations

import html
from typing import Any

from pyspark.sql.connect import plan
from pyspark.sql.connect.dataframe import DataFrame

from labs_lib import settings
from labs_lib.errors import first_line

ROWS = 20
WIDTH = 80  # characters of a value that are shown
MARK = '<div class="labs-first-rows">'  # the replay of committed notebooks compares nothing that begins with this


def show_in(shell: Any) -> None:
    """Let an IPython shell show DataFrames so."""
    shell.display_formatter.formatters["text/html"].for_type(DataFrame, table)


def table(frame: DataFrame) -> str | None:
    """The first rows of a DataFrame as an HTML table, or why there are none; never raises.

    None, and so no query, for a DataFrame that is to be cached (a few rows would fill a part of the cache), for one without
    columns, and where a grader runs the notebook.
    """
    if settings.captures_only():
        return None
    try:
        if frame.isStreaming:
            return _note("A stream has no rows to show before it is started: writeStream starts it.")
        if not frame.columns or frame.is_cached:
            return None
        shown = DataFrame(plan.HtmlString(frame._plan, ROWS, WIDTH), frame.sparkSession)
        content = shown.toArrow()[0][0].as_py()
    except Exception as error:  # IPython would print a traceback of our code
        return _note(f"Spark can't show its rows: {first_line(error)}")
    return f"{MARK}{content}</div>"


def _note(sentence: str) -> str:
    return f"{MARK}{html.escape(sentence)}</div>"
