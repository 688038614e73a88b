"""What the tests of this project stand on: the package's place, one Spark session for all of them, and hypothesis without chance."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SRC = str(Path(__file__).parent / "src")
if SRC not in sys.path:  # until the package is installed
    sys.path.insert(0, SRC)

try:
    from hypothesis import HealthCheck, settings

    quiet = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    settings.register_profile(
        "retail", derandomize=True, deadline=None, max_examples=20, database=None, suppress_health_check=quiet
    )
    settings.load_profile("retail")
except ImportError:  # a project without property tests
    pass


# For a handful of rows: one partition, plans as they are, nothing compiled. A test takes a third of the time.
FOR_FEW_ROWS = {
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.databricks.delta.stats.collect": "false",
}


@pytest.fixture(scope="session")
def spark() -> Iterator[object]:
    """A Spark session: the lab's on your machine, elsewhere the one that pyspark finds (a cluster's, or one of its own)."""
    try:
        from labs_lib.engine import session
    except ImportError:
        from pyspark.sql import SparkSession

        found: Any = SparkSession.builder.getOrCreate()
    else:
        found = session.connection().spark
    for name, value in FOR_FEW_ROWS.items():
        found.conf.set(name, value)
    yield found
