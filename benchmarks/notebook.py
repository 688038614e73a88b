"""What a notebook does to get a session, in stock form and in the course's; as a process: session, work, end.

`python -m benchmarks.notebook ENGINE FOLDER` works in FOLDER and writes FOLDER/seconds.json.
Reads BENCH_SOURCES (JSON: folder of each course table) and, for the stock form, BENCH_STOCK (JSON: its own settings).
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

MODULE = "01_optimization"
ENGINES = ("stock", "course")


def session(engine: str, folder: Path) -> Any:
    """A session as a notebook of that engine gets it, with an empty database of its own selected."""
    return _stock(folder) if engine == "stock" else _course()


def sources() -> dict[str, Path]:
    """Folders of the course tables."""
    return {name: Path(path) for name, path in json.loads(os.environ["BENCH_SOURCES"]).items()}


def _stock(folder: Path) -> Any:
    """A classic session as Delta's quick start makes it: defaults, and the package by configure_spark_with_delta_pip."""
    from delta import configure_spark_with_delta_pip
    from pyspark.sql import SparkSession

    from labs_lib.engine.sql import literal

    builder = SparkSession.builder.appName("stock")  # type: ignore[attr-defined]
    builder = builder.config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
    builder = builder.config(
        "spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog"
    )
    given: dict[str, str] = json.loads(os.environ["BENCH_STOCK"])
    for name, value in given.items():
        builder = builder.config(name, value)
    if "spark.jars" not in given:
        builder = configure_spark_with_delta_pip(builder)
    spark = builder.getOrCreate()
    spark.sql(f"CREATE DATABASE bench LOCATION {literal(folder / 'tables')}")
    spark.sql("USE bench")
    return spark


def _course() -> Any:
    """The course's session, as the first cell of module 1 opens it; LABS_WORKSPACE names the folder."""
    from labs_lib import open_lab

    return open_lab(MODULE, seed=0).spark


def main(engine: str, folder: Path) -> None:
    """Do module 1's work and note how long the session and each part took."""
    from benchmarks import workload

    began = time.monotonic()
    spark = session(engine, folder)
    seconds = {"session": time.monotonic() - began} | workload.module_1(spark, sources())
    (folder / "seconds.json").write_text(json.dumps(seconds))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
