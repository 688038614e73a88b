"""Changes of households in batches for a slowly changing dimension. How they come to be: `datasets/feeds/dimension.py`."""

from __future__ import annotations

from typing import cast

import pyarrow.parquet as pq
from deltalake import write_deltalake
from pyspark.sql.connect.dataframe import DataFrame

import datasets
from labs_lib import settings
from labs_lib.engine.sql import literal
from labs_lib.lab import Lab


def lay_changes(lab: Lab, name: str = "household_changes") -> DataFrame:
    """Lay the feed of the lab's seed as a Delta table of that name; what was there goes.

    Columns: batch int (1 to 4), household_id int, address, income, household_size string, effective_at timestamp (UTC).
    """
    arrived = datasets.arrived("dimension", lab.seed, settings.home() / "data")
    lab.drop(name)
    folder = lab.tables / name.lower()
    write_deltalake(folder, pq.read_table(arrived / "changes.parquet"))
    lab.spark.sql(f"CREATE TABLE {name} USING delta LOCATION {literal(folder)}")
    return cast(DataFrame, lab.spark.table(name))
