"""Gives a foreachBatch function the session of its batch where it asks pyspark for one, as tutorials and Databricks notebooks do.

With Spark Connect the function runs in a Python process of its own on the server, where `SparkSession.builder` knows of no session.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable

from pyspark.sql.connect.dataframe import DataFrame
from pyspark.sql.connect.streaming.readwriter import DataStreamWriter

from labs_lib.engine import builder

Function = Callable[[DataFrame, int], None]

_PYSPARKS_OWN = DataStreamWriter.foreachBatch


def lead() -> None:
    """From now on let functions that are given to foreachBatch run so. Their server has to have this package."""

    @functools.wraps(_PYSPARKS_OWN)
    def foreach_batch(writer: DataStreamWriter, function: Function) -> DataStreamWriter:
        return _PYSPARKS_OWN(writer, functools.partial(in_session, function))  # type: ignore[arg-type]

    DataStreamWriter.foreachBatch = foreach_batch  # type: ignore[method-assign, assignment]


def in_session(function: Function, frame: DataFrame, batch: int) -> None:
    """Call the function with its batch while `SparkSession.builder` gives the batch's session. Runs on the server."""
    session = frame.sparkSession
    builder.lead_to(lambda: session, os.environ.get("SPARK_CONNECT_LOCAL_URL", ""))
    function(frame, batch)
